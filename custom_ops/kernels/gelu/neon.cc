#include <arm_neon.h>

#include "kernels/gelu/gelu.h"

namespace pqv {
namespace neon {
namespace {

constexpr size_t kVector = 16;
constexpr size_t kVectors = 4;   // per step
constexpr size_t kQuarter = 64;  // entries that one TBL looks up

// TBX leaves a lane alone where the index is not in its quarter. An exclusive or moves the indices
// of a quarter, and no others, to 0 .. 63; x = -128 is the first entry.
inline void LookUpQuarter(const uint8_t* quarter, uint8_t flip, const uint8x16_t* x,
                          uint8x16_t* y) {
  const uint8x16x4_t entries = vld1q_u8_x4(quarter);
  for (size_t v = 0; v < kVectors; ++v) {
    y[v] = vqtbx4q_u8(y[v], entries, veorq_u8(x[v], vdupq_n_u8(flip)));
  }
}

// One quarter at a time is in registers, for all vectors.
inline void LookUp(const uint8_t* table, const uint8_t* x, uint8_t* y) {
  uint8x16_t index[kVectors];
  uint8x16_t found[kVectors];
  for (size_t v = 0; v < kVectors; ++v) index[v] = vld1q_u8(x + kVector * v);
  for (size_t v = 0; v < kVectors; ++v) found[v] = vdupq_n_u8(0);
  LookUpQuarter(table, 0x80, index, found);
  LookUpQuarter(table + kQuarter, 0xC0, index, found);
  LookUpQuarter(table + 2 * kQuarter, 0x00, index, found);
  LookUpQuarter(table + 3 * kQuarter, 0x40, index, found);
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
