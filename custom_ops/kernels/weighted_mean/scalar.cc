#include "kernels/common/arithmetic.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace scalar {

void RunWeightedMean(const WeightedMean& op) {
  for (size_t m = 0; m < op.m; ++m) {
    const uint8_t* w = op.w + m * op.w_stride;
    uint32_t weight_sum = 0;
    for (size_t j = 0; j < op.n; ++j) weight_sum += w[j];
    const RowScale scale = WeightedMeanScale(op.shift, op.multiplier, weight_sum);
    for (size_t d = 0; d < op.d; ++d) {
      int32_t sum = 0;
      for (size_t j = 0; j < op.n; ++j) sum += w[j] * op.v[j * op.v_stride + d];
      op.y[m * op.y_stride + d] = Narrow(Requantize(sum, scale.shift, scale.multiplier), op.y_bits);
    }
  }
}

}  // namespace scalar
}  // namespace pqv
