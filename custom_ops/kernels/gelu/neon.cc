#include <arm_neon.h>

#include "kernels/gelu/gelu.h"

namespace pqv {
namespace neon {
namespace {

constexpr size_t kVector = 16;
constexpr size_t kVectors = 4;   // per step
constexpr size_t kQuarter = 64;  // entries that one TBL looks up

// Quarters of the table in turn, each for all vectors: only one is in registers at a time. TBX
// leaves a lane alone where the index is not in its quarter. An exclusive or moves the indices of a
// quarter, and no others, to 0 .. 63; x = -128 is the first entry.
inline void LookUp(const uint8_t* table, const uint8_t* x, uint8_t* y) {
  constexpr uint8_t kFlips[] = {0x80, 0xC0, 0x00, 0x40};
  uint8x16_t bytes[kVectors];
  uint8x16_t found[kVectors];
  for (size_t v = 0; v < kVectors; ++v) bytes[v] = vld1q_u8(x + kVector * v);
  for (size_t v = 0; v < kVectors; ++v) found[v] = vdupq_n_u8(0);
  for (size_t i = 0; i < 4; ++i) {
    const uint8x16x4_t quarter = vld1q_u8_x4(table + kQuarter * i);
    for (size_t v = 0; v < kVectors; ++v) {
      const uint8x16_t index = veorq_u8(bytes[v], vdupq_n_u8(kFlips[i]));
      found[v] = i == 0 ? vqtbl4q_u8(quarter, index) : vqtbx4q_u8(found[v], quarter, index);
    }
  }
  for (size_t v = 0; v < kVectors; ++v) vst1q_u8(y + kVector * v, found[v]);
}

}  // namespace

void RunGelu(const int8_t* table, const int8_t* x, size_t count, int8_t* y) {
  size_t i = 0;
  for (; i + kVectors * kVector <= count; i += kVectors * kVector) {
    LookUp(reinterpret_cast<const uint8_t*>(table), reinterpret_cast<const uint8_t*>(x + i),
           reinterpret_cast<uint8_t*>(y + i));
  }
  for (; i < count; ++i) y[i] = table[x[i] + 128];
}

}  // namespace neon
}  // namespace pqv
