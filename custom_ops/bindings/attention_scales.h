// The attributes that IntAttention and IntWindowAttention share.

#ifndef PQV_BINDINGS_ATTENTION_SCALES_H_
#define PQV_BINDINGS_ATTENTION_SCALES_H_

#include "bindings/node_reader.h"
#include "kernels/common/fixed_point.h"

namespace pqv {

// Reads those of the softmax and of the weighted mean into an op's description.
template <typename Op>
OrtStatus* ReadAttentionScales(const NodeReader& reader, Op* op) {
  int log2 = 0;
  PQV_RETURN_IF_ERROR(reader.Int("softmax_shift", kMinShift, kMaxShift, &op->softmax.shift));
  PQV_RETURN_IF_ERROR(reader.Int("softmax_multiplier", 1, kMaxMultiplier, &op->softmax.multiplier));
  PQV_RETURN_IF_ERROR(reader.Int("log2", 0, 1, &log2));
  op->softmax.log2 = log2 != 0;
  PQV_RETURN_IF_ERROR(reader.Int("mean_shift", -16, 7, &op->mean_shift));
  PQV_RETURN_IF_ERROR(reader.Int("mean_multiplier", 1, kMaxMultiplier, &op->mean_multiplier));
  return reader.YBits(&op->y_bits);
}

}  // namespace pqv

#endif  // PQV_BINDINGS_ATTENTION_SCALES_H_
