// The shared arithmetic of docs/ops.md on NEON registers, for arm64. ARMv8.0 is enough.
//
// A step is 8 channels: two vectors of int32, one of int16, half a vector of int8.

#ifndef PQV_KERNELS_COMMON_ARITHMETIC_NEON_H_
#define PQV_KERNELS_COMMON_ARITHMETIC_NEON_H_

#include <arm_neon.h>
#include <string.h>

#include "kernels/common/arithmetic.h"
#include "kernels/common/inline.h"
#include "kernels/common/requantizer.h"

namespace pqv {
namespace arm64 {

constexpr size_t kLanes16 = 8;  // channels of a step
constexpr size_t kLanes8 = 16;  // of two

// The first `count` bytes, the rest zero; reads nothing beyond them. count <= 16.
static PQV_INLINE uint8x16_t LoadPartial8(const void* x, size_t count) {
  uint8_t bytes[16] = {};
  memcpy(bytes, x, count);
  return vld1q_u8(bytes);
}

// The last `count` of 16 bytes or more that end at `end`, the rest zero. 0 < count < 16.
static PQV_INLINE uint8x16_t LoadLast8(const uint8_t* end, size_t count) {
  // Beyond 15, TBL gives zero.
  static constexpr uint8_t kIndex[32] = {0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,
                                         11,  12,  13,  14,  15,  255, 255, 255, 255, 255, 255,
                                         255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  return vqtbl1q_u8(vld1q_u8(end - 16), vld1q_u8(kIndex + (16 - count)));
}

static PQV_INLINE void StorePartial8(void* y, uint8x16_t x, size_t count) {
  uint8_t bytes[16];
  vst1q_u8(bytes, x);
  memcpy(y, bytes, count);
}

// The first `count` of 16 codes, the rest zero.
static PQV_INLINE int8x16_t LoadCodes(const int8_t* x, size_t count) {
  return count < kLanes8 ? vreinterpretq_s8_u8(LoadPartial8(x, count)) : vld1q_s8(x);
}

static PQV_INLINE void StoreCodes(int8_t* y, int8x16_t x, size_t count) {
  if (count < kLanes8) return StorePartial8(y, vreinterpretq_u8_s8(x), count);
  vst1q_s8(y, x);
}

struct Int16x16 {
  int16x8_t low;
  int16x8_t high;
};

static PQV_INLINE Int16x16 Load16(const int16_t* x) { return {vld1q_s16(x), vld1q_s16(x + 8)}; }

struct Requantizer {
  int32x4_t shift[2];  // to the left, as SQRSHL has it
  int16x8_t multiplier;
};

// Channels n .. n + 7.
static PQV_INLINE Requantizer LoadRequantizer(const ChannelRequantizer& r, size_t n) {
  const int16x8_t shift = vmovl_s8(vneg_s8(vld1_s8(r.shift + n)));
  return {{vmovl_s16(vget_low_s16(shift)), vmovl_high_s16(shift)}, vld1q_s16(r.multiplier + n)};
}

// One shift in [-15, 30] for all channels.
static PQV_INLINE Requantizer UniformRequantizer(int shift, int multiplier) {
  const int32x4_t left = vdupq_n_s32(-shift);
  return {{left, left}, vdupq_n_s16(static_cast<int16_t>(multiplier))};
}

// sat16(round_shift(x, shift)). A left shift that saturates to int32 first is the same.
static PQV_INLINE int16x8_t RoundShift16(const Requantizer& r, int32x4_t low, int32x4_t high) {
  const int16x4_t t = vqmovn_s32(vqrshlq_s32(low, r.shift[0]));
  return vqmovn_high_s32(t, vqrshlq_s32(high, r.shift[1]));
}

// SQRDMULH is mul_q15; no multiplier is -32768, its only overflow.
static PQV_INLINE int16x8_t Requantize16(const Requantizer& r, int32x4_t low, int32x4_t high) {
  return vqrdmulhq_s16(RoundShift16(r, low, high), r.multiplier);
}

// sat16(round_shift(x, shift)) of x to which the rounding is already added, with 16 - shift for
// each lane: the upper halves of int32 that saturate where they do. SQSHL by fewer than 0 shifts to
// the right.
static PQV_INLINE int16x8_t UpperHalves(int32x4_t low, int32x4_t high, int32x4_t shift_low,
                                        int32x4_t shift_high) {
  return vuzp2q_s16(vreinterpretq_s16_s32(vqshlq_s32(low, shift_low)),
                    vreinterpretq_s16_s32(vqshlq_s32(high, shift_high)));
}

// The range of an output of 4 or 8 bits.
struct Limits {
  int8x16_t low;
  int8x16_t high;
};

static PQV_INLINE Limits MakeLimits(int y_bits) {
  const int limit = 1 << (y_bits - 1);
  return {vdupq_n_s8(static_cast<int8_t>(-limit)), vdupq_n_s8(static_cast<int8_t>(limit - 1))};
}

static PQV_INLINE int8x8_t Narrow16(int16x8_t u, const Limits& limits) {
  const int8x8_t y = vqrshrn_n_s16(u, kFractionBits);
  return vmin_s8(vmax_s8(y, vget_low_s8(limits.low)), vget_low_s8(limits.high));
}

static PQV_INLINE int8x16_t Narrow16(int16x8_t low, int16x8_t high, const Limits& limits) {
  const int8x16_t y = vqrshrn_high_n_s16(vqrshrn_n_s16(low, kFractionBits), high, kFractionBits);
  return vminq_s8(vmaxq_s8(y, limits.low), limits.high);
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_ARITHMETIC_NEON_H_
