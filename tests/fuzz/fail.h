// What ends the programs is an exception in fuzz targets, and nothing is printed.

#ifndef PQV_TESTS_FUZZ_FAIL_H_
#define PQV_TESTS_FUZZ_FAIL_H_

namespace pqv {

struct Failed {};

}  // namespace pqv

#endif  // PQV_TESTS_FUZZ_FAIL_H_
