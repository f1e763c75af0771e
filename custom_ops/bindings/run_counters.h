// How many nodes each variant has run since the library was loaded: the proof of dispatch.

#ifndef PQV_BINDINGS_RUN_COUNTERS_H_
#define PQV_BINDINGS_RUN_COUNTERS_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

// `variant` is an index into kVariants.
void CountRun(size_t variant);
uint64_t RunCount(size_t variant);

}  // namespace pqv

#endif  // PQV_BINDINGS_RUN_COUNTERS_H_
