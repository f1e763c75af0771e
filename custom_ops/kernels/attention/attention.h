// IntAttention: the context of attention heads, block by block of rows.
//
// The logits and weights of a block of rows stay in the cache; no whole matrix of them is ever in
// memory. composed:: is a driver for every instruction set that runs the kernels of a variant.

#ifndef PQV_KERNELS_ATTENTION_ATTENTION_H_
#define PQV_KERNELS_ATTENTION_ATTENTION_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"
#include "kernels/int_matmul/int_matmul.h"
#include "kernels/softmax2n/softmax2n.h"

namespace pqv {

struct Variant;

// What a node fixes, of windows or not.
struct AttentionScales {
  Softmax2n softmax;
  int mean_shift;
  int mean_multiplier;
  int y_bits;
};

// Rows of one head. Strides are in elements, from row to row. Where `places` is not null, row i is
// the one at places[i].
struct Attention : AttentionScales {
  size_t rows;    // of q and y
  size_t tokens;  // of k and v, kMaxReduction or fewer
  size_t depth;   // kMaxReduction or less
  const int8_t* q;
  const int8_t* k;
  const int8_t* v;
  size_t stride;  // of q, k and v
  int8_t* y;
  size_t y_stride;
  const int16_t* bias;   // [rows, tokens], or null: a softmax without bias and mask
  const uint8_t* mask;   // [rows, tokens]
  const size_t* places;  // [tokens], or null: in order
};

// What some variants have for attention alone: logits in int16 and a softmax of them, see
// int_matmul.h and softmax2n.h.
struct NarrowKernels {
  bool (*int_matmul)(const IntMatMul& op, int16_t* y);
  void (*softmax2n)(const Softmax2n& op, const SoftmaxRows<int16_t>& rows);
};

struct AttentionKernel {
  // For tokens, depth and, if not null, places of `op`.
  size_t (*scratch_bytes)(const Attention& op);
  // `scratch` is aligned to 64 bytes.
  void (*run)(const Variant& variant, const Attention& op, void* scratch);
  NarrowKernels narrow = {};  // null where the composed kernel does without
};

// The number of rows per block that evenly cut `tokens` rows.
size_t AttentionBlockRows(size_t tokens);

namespace composed {
extern const AttentionKernel kAttention;
}
PQV_IN_EACH_ISA(extern const AttentionKernel kAttention;)

}  // namespace pqv

#endif  // PQV_KERNELS_ATTENTION_ATTENTION_H_
