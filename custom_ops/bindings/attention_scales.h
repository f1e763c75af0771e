// The attributes that IntAttention and IntWindowAttention share.

#ifndef PQV_BINDINGS_ATTENTION_SCALES_H_
#define PQV_BINDINGS_ATTENTION_SCALES_H_

#include "bindings/node_reader.h"

namespace pqv {

// Reads those of the softmax and of the weighted mean into an op's description.
template <typename Op>
OrtStatus* ReadAttentionScales(const NodeReader& reader, Op* op) {
  PQV_RETURN_IF_ERROR(reader.Int("softmax_shift", &op->softmax.shift));
  PQV_RETURN_IF_ERROR(reader.Int("softmax_multiplier", &op->softmax.multiplier));
  PQV_RETURN_IF_ERROR(reader.Int("log2", &op->softmax.log2));
  PQV_RETURN_IF_ERROR(reader.Int("mean_shift", &op->mean_shift));
  PQV_RETURN_IF_ERROR(reader.Int("mean_multiplier", &op->mean_multiplier));
  return reader.Int("y_bits", &op->y_bits);
}

}  // namespace pqv

#endif  // PQV_BINDINGS_ATTENTION_SCALES_H_
