#include "kernels/attention/window_attention.h"

#include "kernels/common/sizes.h"

namespace pqv {
namespace {

// The head 0 of a window whose tokens are at `places`.
Attention MakeHead(const WindowAttention& op, const uint8_t* mask, const size_t* places) {
  const size_t tokens = op.window_height * op.window_width;
  const size_t width = op.heads * op.depth;
  return {op,        tokens, tokens, op.depth, op.qkv, op.qkv + width, op.qkv + 2 * width,
          3 * width, op.y,   width,  op.bias,  mask,   places};
}

size_t PlacesBytes(const WindowAttention& op) {
  return RoundUp(op.window_height * op.window_width * sizeof(size_t), kCacheLine);
}

void FindTokens(const WindowAttention& op, size_t row, size_t column, size_t* tokens) {
  for (size_t i = 0; i < op.window_height; ++i) {
    const size_t y = (row * op.window_height + i + op.roll_height) % op.height;
    for (size_t j = 0; j < op.window_width; ++j) {
      *tokens++ = y * op.width + (column * op.window_width + j + op.roll_width) % op.width;
    }
  }
}

}  // namespace

size_t WindowAttentionScratchBytes(const Variant& variant, const WindowAttention& op) {
  const size_t place = 0;
  Attention head = {};
  head.tokens = op.window_height * op.window_width;
  head.depth = op.depth;
  head.places = &place;
  return PlacesBytes(op) + variant.attention->scratch_bytes(head);
}

void RunWindowAttention(const Variant& variant, const WindowAttention& op, size_t row,
                        size_t column, const uint8_t* mask, void* scratch) {
  size_t* const places = static_cast<size_t*>(scratch);
  FindTokens(op, row, column, places);
  Attention head = MakeHead(op, mask, places);
  for (size_t i = 0; i < op.heads; ++i) {
    variant.attention->run(variant, head, static_cast<uint8_t*>(scratch) + PlacesBytes(op));
    head.q += op.depth;
    head.k += op.depth;
    head.v += op.depth;
    head.y += op.depth;
    head.bias += head.tokens * head.tokens;
  }
}

}  // namespace pqv
