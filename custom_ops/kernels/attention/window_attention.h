// IntWindowAttention: the context of attention heads within one window of an image of tokens.
//
// A driver for every instruction set, like that of IntAttention. The rows of a window lie apart in
// the image; the kernel of a head gets their places, so that no tensor of windows is ever in
// memory.

#ifndef PQV_KERNELS_ATTENTION_WINDOW_ATTENTION_H_
#define PQV_KERNELS_ATTENTION_WINDOW_ATTENTION_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/variant.h"

namespace pqv {

// What a node fixes, and one image.
struct WindowAttention : AttentionScales {
  size_t window_height, window_width;  // their product is kMaxReduction or less
  size_t roll_height, roll_width;      // less than the window's
  size_t height, width;                // of the image: multiples of the window's
  size_t heads;
  size_t depth;         // kMaxReduction or less
  const int16_t* bias;  // [heads, T, T], T = window_height * window_width
  const int8_t* qkv;    // [height, width, 3, heads, depth]
  int8_t* y;            // [height, width, heads, depth]
};

// The memory that RunWindowAttention needs.
size_t WindowAttentionScratchBytes(const Variant& variant, const WindowAttention& op);

// All heads of the window `row` windows down and `column` to the right, in the rolled image. `mask`
// [T, T] is the window's, `scratch` is aligned to 64 bytes.
void RunWindowAttention(const Variant& variant, const WindowAttention& op, size_t row,
                        size_t column, const uint8_t* mask, void* scratch);

}  // namespace pqv

#endif  // PQV_KERNELS_ATTENTION_WINDOW_ATTENTION_H_
