// IntLayerNorm: LayerNorm of int8 rows whose channels have power-of-two steps; and IntRMSNorm,
// which is the same without the mean and the bias.

#ifndef PQV_KERNELS_LAYER_NORM_LAYER_NORM_H_
#define PQV_KERNELS_LAYER_NORM_LAYER_NORM_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/arithmetic.h"
#include "kernels/common/isas.h"
#include "kernels/common/requantizer.h"

namespace pqv {

enum class Norm { kLayer, kRms };

// What a node fixes. Arrays of channels are padded, see kChannelPadding.
struct LayerNorm {
  Norm norm;
  size_t channels;
  int64_t epsilon;
  int y_bits;
  const int16_t* step;  // 2^exponent, in [1, 8]
  ChannelRequantizer requantizer;
  const int16_t* bias;  // not read by an RMSNorm
};

// What the sums of one row fix.
struct RowStatistics {
  int32_t sum;         // S
  int normal_shift;    // e - 10, in [-9, 14]
  int32_t reciprocal;  // of sigma
};

// sum = S, which is 0 in an RMSNorm, and square_sum = Q of docs/ops.md.
static inline RowStatistics FinishStatistics(const LayerNorm& op, int32_t sum, int64_t square_sum) {
  const int64_t squared_sum = static_cast<int64_t>(sum) * sum;
  const int64_t variance =
      static_cast<int64_t>(op.channels) * square_sum - squared_sum + op.epsilon;
  const uint64_t root = IntegerSqrt(static_cast<uint64_t>(variance));
  const uint64_t sigma = root > 0 ? root : 1;
  const int bit_length = BitLength(sigma);
  return {sum, bit_length - 10, Reciprocal(sigma, bit_length)};
}

PQV_IN_EACH_ISA(void RunNorm(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y);)

}  // namespace pqv

#endif  // PQV_KERNELS_LAYER_NORM_LAYER_NORM_H_
