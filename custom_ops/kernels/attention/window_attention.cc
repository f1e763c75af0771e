#include "kernels/attention/window_attention.h"

#include <string.h>

namespace pqv {
namespace {

constexpr size_t kCacheLine = 64;

size_t RoundUp(size_t x, size_t unit) { return (x + unit - 1) / unit * unit; }

// Where things begin in the scratch memory, each at a cache line.
struct Layout {
  size_t tokens;            // places of the window's tokens in the image
  size_t q, k, v, context;  // of a head
  size_t attention;         // the scratch memory of the variant's kernel
  size_t bytes;
};

Layout MakeLayout(const Variant& variant, const WindowAttention& op) {
  const size_t tokens = op.window_height * op.window_width;
  const size_t part = RoundUp(tokens * op.depth, kCacheLine);
  Layout layout;
  layout.tokens = 0;
  layout.q = RoundUp(tokens * sizeof(size_t), kCacheLine);
  layout.k = layout.q + part;
  layout.v = layout.k + part;
  layout.context = layout.v + part;
  layout.attention = layout.context + part;
  layout.bytes = layout.attention + variant.attention->scratch_bytes(tokens);
  return layout;
}

void FindTokens(const WindowAttention& op, size_t row, size_t column, size_t* tokens) {
  for (size_t i = 0; i < op.window_height; ++i) {
    const size_t y = (row * op.window_height + i + op.roll_height) % op.height;
    for (size_t j = 0; j < op.window_width; ++j) {
      *tokens++ = y * op.width + (column * op.window_width + j + op.roll_width) % op.width;
    }
  }
}

// Short rows in pieces of a size that compilers know.
inline void CopyRow(const int8_t* source, size_t count, int8_t* target) {
  constexpr size_t kPiece = 32;
  size_t i = 0;
  for (; i + kPiece <= count; i += kPiece) memcpy(target + i, source + i, kPiece);
  for (; i < count; ++i) target[i] = source[i];
}

}  // namespace

size_t WindowAttentionScratchBytes(const Variant& variant, const WindowAttention& op) {
  return MakeLayout(variant, op).bytes;
}

void RunWindowAttention(const Variant& variant, const WindowAttention& op, size_t row,
                        size_t column, const uint8_t* mask, void* scratch) {
  const Layout layout = MakeLayout(variant, op);
  const size_t tokens = op.window_height * op.window_width;
  const size_t width = op.heads * op.depth;
  int8_t* const memory = static_cast<int8_t*>(scratch);
  size_t* const places = reinterpret_cast<size_t*>(memory + layout.tokens);
  int8_t* const q = memory + layout.q;
  int8_t* const k = memory + layout.k;
  int8_t* const v = memory + layout.v;
  int8_t* const context = memory + layout.context;
  FindTokens(op, row, column, places);
  for (size_t head = 0; head < op.heads; ++head) {
    for (size_t t = 0; t < tokens; ++t) {
      const int8_t* source = op.qkv + places[t] * 3 * width + head * op.depth;
      CopyRow(source, op.depth, q + t * op.depth);
      CopyRow(source + width, op.depth, k + t * op.depth);
      CopyRow(source + 2 * width, op.depth, v + t * op.depth);
    }
    variant.attention->run(
        variant,
        {op.softmax, op.mean_shift, op.mean_multiplier, op.y_bits, tokens, tokens, op.depth, q, k,
         v, op.depth, context, op.depth, op.bias + head * tokens * tokens, mask},
        memory + layout.attention);
    for (size_t t = 0; t < tokens; ++t) {
      CopyRow(context + t * op.depth, op.depth, op.y + places[t] * width + head * op.depth);
    }
  }
}

}  // namespace pqv
