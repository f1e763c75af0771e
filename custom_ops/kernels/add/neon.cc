#include "kernels/add/add.h"
#include "kernels/common/arithmetic_neon.h"

namespace pqv {
namespace neon {
namespace {

using namespace arm64;

// 16 codes * 256 * their multipliers, rounded; no multiplier is -32768.
PQV_INLINE Int16x16 Link(int8x16_t codes, const int16_t* multiplier) {
  return {vqrdmulhq_s16(vshll_n_s8(vget_low_s8(codes), 8), vld1q_s16(multiplier)),
          vqrdmulhq_s16(vshll_high_n_s8(codes, 8), vld1q_s16(multiplier + 8))};
}

PQV_INLINE void AddChannels(const IntAdd& op, const int8_t* a, const int8_t* b, size_t c,
                            size_t count, const Limits& limits, int8_t* y) {
  const Int16x16 u = Link(LoadCodes(a + c, count), op.a_multiplier + c);
  const Int16x16 v = Link(LoadCodes(b + c, count), op.b_multiplier + c);
  StoreCodes(y + c, Narrow16(vqaddq_s16(u.low, v.low), vqaddq_s16(u.high, v.high), limits), count);
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
    for (; c + kLanes8 <= channels; c += kLanes8) AddChannels(copy, a, b, c, kLanes8, limits, y);
    if (c < channels) AddChannels(copy, a, b, c, channels - c, limits, y);
    if (++b_row == rows.b_rows) b_row = 0;
  }
}

}  // namespace neon
}  // namespace pqv
