// The most multiply-accumulates per second that one core of this machine reaches.

#ifndef PQV_BENCHMARKS_KERNELS_PEAK_H_
#define PQV_BENCHMARKS_KERNELS_PEAK_H_

#include <stddef.h>

namespace pqv {

// A loop of independent instructions on registers.
struct Peak {
  const char* name;     // of the variant that they limit, or of another instruction to compare with
  bool (*supported)();  // by this processor and operating system
  size_t (*run)();      // gives the multiply-accumulates of one call
};

// Those of this build; a null name ends the list.
extern const Peak kPeaks[];

}  // namespace pqv

#endif  // PQV_BENCHMARKS_KERNELS_PEAK_H_
