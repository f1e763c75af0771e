#include <arm_neon.h>

#include "kernels/gelu/gelu.h"

namespace pqv {
namespace neon {
namespace {

constexpr size_t kVector = 16;
constexpr size_t kQuarter = 64;  // entries that one TBL looks up

struct Table {
  uint8x16x4_t quarter[4];
};

// TBX leaves a lane alone where the index is not in its quarter. An exclusive or moves the
// indices of a quarter, and no others, to 0 .. 63; x = -128 is the first entry.
inline uint8x16_t LookUp(const Table& table, uint8x16_t x) {
  uint8x16_t y = vqtbl4q_u8(table.quarter[0], veorq_u8(x, vdupq_n_u8(0x80)));
  y = vqtbx4q_u8(y, table.quarter[1], veorq_u8(x, vdupq_n_u8(0xC0)));
  y = vqtbx4q_u8(y, table.quarter[2], x);
  return vqtbx4q_u8(y, table.quarter[3], veorq_u8(x, vdupq_n_u8(0x40)));
}

}  // namespace

void RunGelu(const int8_t* table, const int8_t* x, size_t count, int8_t* y) {
  const uint8_t* entries = reinterpret_cast<const uint8_t*>(table);
  const Table quarters = {{vld1q_u8_x4(entries), vld1q_u8_x4(entries + kQuarter),
                           vld1q_u8_x4(entries + 2 * kQuarter),
                           vld1q_u8_x4(entries + 3 * kQuarter)}};
  size_t i = 0;
  for (; i + kVector <= count; i += kVector) {
    vst1q_s8(y + i, vreinterpretq_s8_u8(LookUp(quarters, vreinterpretq_u8_s8(vld1q_s8(x + i)))));
  }
  for (; i < count; ++i) y[i] = table[x[i] + 128];
}

}  // namespace neon
}  // namespace pqv
