#include "kernels/add/add.h"
#include "kernels/common/arithmetic_neon.h"

namespace pqv {
namespace neon {
namespace {

using namespace arm64;

constexpr size_t kStep = 16;  // channels

struct Int16x16 {
  int16x8_t low;
  int16x8_t high;
};

// 16 codes * 256 * their multipliers, rounded; no multiplier is -32768.
PQV_INLINE Int16x16 Link(int8x16_t codes, const int16_t* multiplier) {
  return {vqrdmulhq_s16(vshll_n_s8(vget_low_s8(codes), 8), vld1q_s16(multiplier)),
          vqrdmulhq_s16(vshll_high_n_s8(codes, 8), vld1q_s16(multiplier + 8))};
}

PQV_INLINE int8x16_t AddChannels(const IntAdd& op, int8x16_t a, int8x16_t b, size_t c,
                                 const Limits& limits) {
  const Int16x16 x = Link(a, op.a_multiplier + c);
  const Int16x16 y = Link(b, op.b_multiplier + c);
  return Narrow16(vqaddq_s16(x.low, y.low), vqaddq_s16(x.high, y.high), limits);
}

PQV_INLINE int8x16_t LoadPartial(const int8_t* x, size_t count) {
  return vreinterpretq_s8_u8(LoadPartial8(x, count));
}

}  // namespace

void RunAdd(const IntAdd& op, const AddRows& rows) {
  const IntAdd copy = op;  // which stores of int8 cannot change
  const size_t channels = copy.channels;
  const Limits limits = MakeLimits(copy.y_bits);
  size_t b_row = rows.begin % rows.b_rows;
  for (size_t row = rows.begin; row < rows.end; ++row) {
    const int8_t* const a = rows.a + row * channels;
    const int8_t* const b = rows.b + b_row * channels;
    int8_t* const y = rows.y + row * channels;
    size_t c = 0;
    for (; c + kStep <= channels; c += kStep) {
      vst1q_s8(y + c, AddChannels(copy, vld1q_s8(a + c), vld1q_s8(b + c), c, limits));
    }
    if (c < channels) {
      const size_t rest = channels - c;
      const int8x16_t sum =
          AddChannels(copy, LoadPartial(a + c, rest), LoadPartial(b + c, rest), c, limits);
      StorePartial8(y + c, vreinterpretq_u8_s8(sum), rest);
    }
    if (++b_row == rows.b_rows) b_row = 0;
  }
}

}  // namespace neon
}  // namespace pqv
