// IntWeightedMean: attention weights times values, divided by the sum of the weights.

#ifndef PQV_KERNELS_WEIGHTED_MEAN_WEIGHTED_MEAN_H_
#define PQV_KERNELS_WEIGHTED_MEAN_WEIGHTED_MEAN_H_

#include <stddef.h>
#include <stdint.h>

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

namespace scalar {
void RunWeightedMean(const WeightedMean& op);
}
namespace avx2 {
void RunWeightedMean(const WeightedMean& op);
}
namespace avxvnni {
void RunWeightedMean(const WeightedMean& op);
}
namespace avx512vnni {
void RunWeightedMean(const WeightedMean& op);
}
namespace amx {
void RunWeightedMean(const WeightedMean& op);
}
namespace neon {
void RunWeightedMean(const WeightedMean& op);
}
namespace dotprod {
void RunWeightedMean(const WeightedMean& op);
}
namespace i8mm {
void RunWeightedMean(const WeightedMean& op);
}
namespace sme {
void RunWeightedMean(const WeightedMean& op);
}

}  // namespace pqv

#endif  // PQV_KERNELS_WEIGHTED_MEAN_WEIGHTED_MEAN_H_
