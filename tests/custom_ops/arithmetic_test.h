// The primitives of an instruction set, 16 numbers at a time, for tests against the definition.

#ifndef PQV_TESTS_CUSTOM_OPS_ARITHMETIC_TEST_H_
#define PQV_TESTS_CUSTOM_OPS_ARITHMETIC_TEST_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

constexpr size_t kNumbers = 16;

struct Primitives {
  const char* name;
  bool (*supported)();
  uint32_t max_divisor;
  void (*bit_lengths)(const uint32_t* x, uint32_t* y);
  void (*reciprocals)(const uint32_t* x, uint32_t* y);
  void (*integer_sqrts)(const uint64_t* x, uint64_t* y);  // or null
};

extern const Primitives kAvx2Primitives;
extern const Primitives kAvx512Primitives;

}  // namespace pqv

#endif  // PQV_TESTS_CUSTOM_OPS_ARITHMETIC_TEST_H_
