// IntAttention: the context of attention heads, block by block of rows.
//
// A driver for every instruction set: it runs the kernels of a variant on blocks of rows whose
// logits and weights stay in the cache; no whole matrix of them is ever in memory.

#ifndef PQV_KERNELS_ATTENTION_ATTENTION_H_
#define PQV_KERNELS_ATTENTION_ATTENTION_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/variant.h"

namespace pqv {

// Rows of one head. Strides are in elements, from row to row.
struct Attention {
  Softmax2n softmax;
  int mean_shift;
  int mean_multiplier;
  int y_bits;
  size_t rows;    // of q and y
  size_t tokens;  // of k and v, kMaxReduction or fewer
  size_t depth;   // kMaxReduction or less
  const int8_t* q;
  const int8_t* k;
  const int8_t* v;
  size_t stride;  // of q, k and v
  int8_t* y;
  size_t y_stride;
};

// The number of rows per block that evenly cut `tokens` rows.
size_t AttentionBlockRows(size_t tokens);

// The memory that RunAttention needs for a block.
size_t AttentionScratchBytes(size_t tokens);

// `scratch` is aligned to 64 bytes.
void RunAttention(const Variant& variant, const Attention& op, void* scratch);

}  // namespace pqv

#endif  // PQV_KERNELS_ATTENTION_ATTENTION_H_
