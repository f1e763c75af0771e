// The most multiply-accumulates per second that one core of this machine reaches.

#ifndef PQV_BENCHMARKS_KERNELS_PEAK_H_
#define PQV_BENCHMARKS_KERNELS_PEAK_H_

#include <stddef.h>

namespace pqv {

// Multiply-accumulates of one call of a loop of independent dot-product instructions on registers.
// 0 where this build or this machine lacks the instruction.
size_t RunPeakLoop(const char* variant);

}  // namespace pqv

#endif  // PQV_BENCHMARKS_KERNELS_PEAK_H_
