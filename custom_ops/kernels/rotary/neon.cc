#include "kernels/common/arithmetic_neon.h"
#include "kernels/rotary/turn_rows.h"

namespace pqv {
namespace neon {
namespace {

using namespace arm64;

struct Scale {
  Requantizer requantizer;
  Limits limits;
};

PQV_INLINE Int16x16 LoadWide(const int8_t* x, size_t count) {
  const int8x16_t bytes = LoadCodes(x, count);
  return {vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)};
}

PQV_INLINE Int16x16 LoadTable(const int16_t* table, size_t count) {
  if (count == kLanes8) return Load16(table);
  int16_t values[kLanes8] = {};
  memcpy(values, table, count * sizeof(int16_t));
  return Load16(values);
}

PQV_INLINE int16x8_t Turn(const Requantizer& requantizer, int16x8_t x, int16x8_t rotated,
                          int16x8_t cos, int16x8_t sin) {
  const int32x4_t low = vmlal_s16(vmull_s16(vget_low_s16(x), vget_low_s16(cos)),
                                  vget_low_s16(rotated), vget_low_s16(sin));
  const int32x4_t high = vmlal_high_s16(vmull_high_s16(x, cos), rotated, sin);
  return Requantize16(requantizer, low, high);
}

// Elements d .. d + 15 of y, `count` of which exist.
PQV_INLINE void Store(const Scale& scale, const RotaryRow& row, size_t d, size_t count,
                      const Int16x16& x, const Int16x16& rotated) {
  const Int16x16 cos = LoadTable(row.cos + d, count);
  const Int16x16 sin = LoadTable(row.sin + d, count);
  const int8x16_t y =
      Narrow16(Turn(scale.requantizer, x.low, rotated.low, cos.low, sin.low),
               Turn(scale.requantizer, x.high, rotated.high, cos.high, sin.high), scale.limits);
  StoreCodes(row.y + d, y, count);
}

// (-x1, x0, -x3, x2, ...).
PQV_INLINE int16x8_t RotatePairs(int16x8_t x) {
  const int16x8_t swapped = vrev32q_s16(x);
  const uint16x8_t is_even = vreinterpretq_u16_u32(vdupq_n_u32(0x0000FFFF));
  return vbslq_s16(is_even, vnegq_s16(swapped), swapped);
}

PQV_INLINE void TurnPairs(const Scale& scale, const RotaryRow& row, size_t d, size_t count) {
  const Int16x16 x = LoadWide(row.x + d, count);
  Store(scale, row, d, count, x, {RotatePairs(x.low), RotatePairs(x.high)});
}

PQV_INLINE void TurnHalves(const Scale& scale, const RotaryRow& row, size_t half, size_t d,
                           size_t count) {
  const Int16x16 first = LoadWide(row.x + d, count);
  const Int16x16 second = LoadWide(row.x + half + d, count);
  Store(scale, row, d, count, first, {vnegq_s16(second.low), vnegq_s16(second.high)});
  Store(scale, row, half + d, count, second, first);
}

}  // namespace

void RunRotary(const Rotary& op, const RotaryRows& rows) {
  const size_t half = op.depth / 2;
  const Scale scale = {UniformRequantizer(op.shift, op.multiplier), MakeLimits(op.y_bits)};
  if (op.pairs) {
    return TurnRows<kLanes8>(op, rows, [&](const RotaryRow& row, size_t d, size_t count) {
      TurnPairs(scale, row, d, count);
    });
  }
  TurnRows<kLanes8>(op, rows, [&](const RotaryRow& row, size_t d, size_t count) {
    TurnHalves(scale, row, half, d, count);
  });
}

}  // namespace neon
}  // namespace pqv
