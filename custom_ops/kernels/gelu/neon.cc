#include <arm_neon.h>
#include <string.h>

#include "kernels/gelu/gelu.h"

namespace pqv {
namespace neon {
namespace {

constexpr size_t kVector = 16;
constexpr size_t kQuarter = 64;  // entries that one TBL looks up

bool IsConstant(const uint8_t* quarter) { return memcmp(quarter, quarter + 1, kQuarter - 1) == 0; }

// As the differences (exclusive or) from a constant.
inline uint8x16x4_t LoadQuarter(const uint8_t* entries, uint8x16_t constant) {
  const uint8x16x4_t x = vld1q_u8_x4(entries);
  return {{veorq_u8(x.val[0], constant), veorq_u8(x.val[1], constant), veorq_u8(x.val[2], constant),
           veorq_u8(x.val[3], constant)}};
}

// TBL gives zero where the index is not in its quarter. An exclusive or moves the values of a
// quarter, and no others, to 0 .. 63; x = -128 is the first entry.
template <uint8_t kFlip>
inline uint8x16_t LookUp(const uint8x16x4_t& quarter, uint8x16_t x) {
  return vqtbl4q_u8(quarter, kFlip != 0 ? veorq_u8(x, vdupq_n_u8(kFlip)) : x);
}

// The table stays in registers, but for its last quarter if all entries of that are the same.
template <bool kIsClipped>
void LookUpRows(const uint8_t* table, const GeluBlock& block) {
  const uint8x16_t constant = vdupq_n_u8(kIsClipped ? table[3 * kQuarter] : 0);
  const uint8x16x4_t first = LoadQuarter(table, constant);
  const uint8x16x4_t second = LoadQuarter(table + kQuarter, constant);
  const uint8x16x4_t third = LoadQuarter(table + 2 * kQuarter, constant);
  const uint8x16x4_t last = LoadQuarter(table + 3 * kQuarter, constant);
  const auto look_up = [&](const uint8_t* source, uint8_t* target) {
    const uint8x16_t x = vld1q_u8(source);
    uint8x16_t y = veorq_u8(LookUp<0xC0>(second, x), LookUp<0x00>(third, x));
    y = veorq_u8(y, LookUp<0x80>(first, x));
    y = veorq_u8(y, kIsClipped ? constant : LookUp<0x40>(last, x));
    vst1q_u8(target, y);
  };
  const size_t width = block.width;  // a copy, which stores of int8 cannot change
  for (size_t row = 0; row < block.rows; ++row) {
    const uint8_t* const x = reinterpret_cast<const uint8_t*>(block.x + row * block.stride);
    uint8_t* const y = reinterpret_cast<uint8_t*>(block.y + row * block.stride);
    size_t i = 0;
    for (; i + 4 * kVector <= width; i += 4 * kVector) {
      for (size_t v = 0; v < 4 * kVector; v += kVector) look_up(x + i + v, y + i + v);
    }
    for (; i + kVector <= width; i += kVector) look_up(x + i, y + i);
    for (; i < width; ++i) y[i] = table[x[i] ^ 0x80];
  }
}

}  // namespace

// Outputs of 4 bits are mostly clipped in all of the last quarter.
void RunGelu(const int8_t* table, const GeluBlock& block) {
  const uint8_t* const entries = reinterpret_cast<const uint8_t*>(table);
  const bool is_clipped = IsConstant(entries + 3 * kQuarter);
  (is_clipped ? LookUpRows<true> : LookUpRows<false>)(entries, block);
}

}  // namespace neon
}  // namespace pqv
