// The attributes that IntAttention and IntWindowAttention share.

#ifndef PQV_BINDINGS_ATTENTION_SCALES_H_
#define PQV_BINDINGS_ATTENTION_SCALES_H_

#include "bindings/node_reader.h"
#include "kernels/attention/attention.h"

namespace pqv {

static inline OrtStatus* ReadAttentionScales(const NodeReader& reader, AttentionScales* op) {
  PQV_RETURN_IF_ERROR(reader.Int("softmax_shift", &op->softmax.shift));
  PQV_RETURN_IF_ERROR(reader.Int("softmax_multiplier", &op->softmax.multiplier));
  PQV_RETURN_IF_ERROR(reader.Int("log2", &op->softmax.log2));
  PQV_RETURN_IF_ERROR(reader.Int("mean_shift", &op->mean_shift));
  PQV_RETURN_IF_ERROR(reader.Int("mean_multiplier", &op->mean_multiplier));
  return reader.Int("y_bits", &op->y_bits);
}

}  // namespace pqv

#endif  // PQV_BINDINGS_ATTENTION_SCALES_H_
