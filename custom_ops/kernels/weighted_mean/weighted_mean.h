// IntWeightedMean: attention weights times values, divided by the sum of the weights.

#ifndef PQV_KERNELS_WEIGHTED_MEAN_WEIGHTED_MEAN_H_
#define PQV_KERNELS_WEIGHTED_MEAN_WEIGHTED_MEAN_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"

namespace pqv {

// One matrix product. Strides are in elements, from row to row.
struct WeightedMean {
  int shift;       // [-16, 7]
  int multiplier;  // [1, 32767]
  int y_bits;
  size_t m, n, d;    // n <= kMaxReduction
  const uint8_t* w;  // [m, n]
  size_t w_stride;
  const int8_t* v;  // [n, d]
  size_t v_stride;
  int8_t* y;  // [m, d]
  size_t y_stride;
};

PQV_IN_EACH_ISA(void RunWeightedMean(const WeightedMean& op);)

}  // namespace pqv

#endif  // PQV_KERNELS_WEIGHTED_MEAN_WEIGHTED_MEAN_H_
