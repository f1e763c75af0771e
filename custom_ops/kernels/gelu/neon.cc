#include <arm_neon.h>

#include "kernels/gelu/gelu.h"

namespace pqv {
namespace neon {
namespace {

constexpr size_t kVector = 16;
constexpr size_t kQuarter = 64;  // entries that one TBL looks up

// TBL gives zero, and TBX leaves a lane alone, where the index is not in its quarter. An exclusive
// or moves the indices of a quarter, and no others, to 0 .. 63; x = -128 is the first entry.
template <uint8_t kFlip, size_t kVectors>
inline void LookUpQuarter(const uint8_t* quarter, const uint8x16_t* x, uint8x16_t* y) {
  const uint8x16x4_t entries = vld1q_u8_x4(quarter);
  for (size_t v = 0; v < kVectors; ++v) {
    const uint8x16_t index = kFlip != 0 ? veorq_u8(x[v], vdupq_n_u8(kFlip)) : x[v];
    y[v] = kFlip == 0x80 ? vqtbl4q_u8(entries, index) : vqtbx4q_u8(y[v], entries, index);
  }
}

// One quarter at a time is in registers, for all vectors.
template <size_t kVectors>
inline void LookUp(const uint8_t* table, const uint8_t* x, uint8_t* y) {
  uint8x16_t index[kVectors];
  uint8x16_t found[kVectors] = {};
  for (size_t v = 0; v < kVectors; ++v) index[v] = vld1q_u8(x + kVector * v);
  LookUpQuarter<0x80, kVectors>(table, index, found);
  LookUpQuarter<0xC0, kVectors>(table + kQuarter, index, found);
  LookUpQuarter<0x00, kVectors>(table + 2 * kQuarter, index, found);
  LookUpQuarter<0x40, kVectors>(table + 3 * kQuarter, index, found);
  for (size_t v = 0; v < kVectors; ++v) vst1q_u8(y + kVector * v, found[v]);
}

}  // namespace

void RunGelu(const int8_t* table, const GeluBlock& block) {
  const uint8_t* const entries = reinterpret_cast<const uint8_t*>(table);
  const size_t width = block.width;  // a copy, which stores of int8 cannot change
  for (size_t row = 0; row < block.rows; ++row) {
    const uint8_t* x = reinterpret_cast<const uint8_t*>(block.x + row * block.stride);
    uint8_t* y = reinterpret_cast<uint8_t*>(block.y + row * block.stride);
    size_t i = 0;
    for (; i + 6 * kVector <= width; i += 6 * kVector) LookUp<6>(entries, x + i, y + i);
    for (; i + 2 * kVector <= width; i += 2 * kVector) LookUp<2>(entries, x + i, y + i);
    for (; i < width; ++i) y[i] = entries[x[i] ^ 0x80];
  }
}

}  // namespace neon
}  // namespace pqv
