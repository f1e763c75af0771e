// The shared arithmetic of docs/ops.md on 16 channels at a time, for files built with -mavx2.

#ifndef PQV_KERNELS_COMMON_ARITHMETIC_AVX2_H_
#define PQV_KERNELS_COMMON_ARITHMETIC_AVX2_H_

#include <immintrin.h>
#include <string.h>

#include "kernels/common/arithmetic.h"
#include "kernels/common/inline.h"
#include "kernels/common/requantizer.h"

namespace pqv {
namespace avx2 {

constexpr size_t kLanes = 16;  // channels per step: one int16 vector, two int32 vectors

// 16 int32, elements 0..7 in low and 8..15 in high.
struct Int32x16 {
  __m256i low;
  __m256i high;
};

static inline Int32x16 Load32(const int32_t* x) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 8))};
}

static inline void Store32(int32_t* y, Int32x16 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), x.low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + 8), x.high);
}

static inline Int32x16 Add32(Int32x16 a, Int32x16 b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}

// Saturates to int16 and keeps the order of the elements (vpackssdw alone works per 128 bits).
static inline __m256i Pack16(Int32x16 x) {
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(x.low, x.high), 0xD8);
}

// Unpacking instructions work on 128 bits, too. In "unpack order" elements 0..3 and 8..11 are in
// low, 4..7 and 12..15 in high, and vpackssdw alone gives the natural order.
static inline Int32x16 ToUnpackOrder(Int32x16 x) {
  return {_mm256_permute2x128_si256(x.low, x.high, 0x20),
          _mm256_permute2x128_si256(x.low, x.high, 0x31)};
}

// a * b of 16 int16, in unpack order.
static inline Int32x16 Multiply16(__m256i a, __m256i b) {
  const __m256i low = _mm256_mullo_epi16(a, b);
  const __m256i high = _mm256_mulhi_epi16(a, b);
  return {_mm256_unpacklo_epi16(low, high), _mm256_unpackhi_epi16(low, high)};
}

static inline Int32x16 Clamp16(Int32x16 x) {
  const __m256i low = _mm256_set1_epi32(INT16_MIN);
  const __m256i high = _mm256_set1_epi32(INT16_MAX);
  return {_mm256_max_epi32(_mm256_min_epi32(x.low, high), low),
          _mm256_max_epi32(_mm256_min_epi32(x.high, high), low)};
}

template <typename T>
static PQV_INLINE T LoadAs(const uint8_t* x) {
  T value;
  memcpy(&value, x, sizeof(T));
  return value;
}

// The first `count` bytes, the rest zero; reads nothing beyond them. count <= 8. Two loads overlap:
// a memcpy of so many bytes would be a call.
static PQV_INLINE uint64_t LoadPartial64(const uint8_t* x, size_t count) {
  if (count == 8) return LoadAs<uint64_t>(x);
  if (count >= 4) {
    const uint64_t high = LoadAs<uint32_t>(x + count - 4);
    return LoadAs<uint32_t>(x) | high << (8 * (count - 4));
  }
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= uint64_t{x[i]} << (8 * i);
  return value;
}

// The first `count` elements, the rest zero; reads nothing beyond them. count <= 16.
static PQV_INLINE __m128i LoadPartial8(const void* x, size_t count) {
  if (count == kLanes) return _mm_loadu_si128(static_cast<const __m128i*>(x));
  const uint8_t* const bytes = static_cast<const uint8_t*>(x);
  const size_t low = count < 8 ? count : 8;
  return _mm_set_epi64x(static_cast<int64_t>(LoadPartial64(bytes + low, count - low)),
                        static_cast<int64_t>(LoadPartial64(bytes, low)));
}

// The first `count` elements. count <= 16. Two stores overlap, as the loads above.
static PQV_INLINE void StorePartial8(void* y, __m128i x, size_t count) {
  if (count == kLanes) {
    _mm_storeu_si128(static_cast<__m128i*>(y), x);
    return;
  }
  uint8_t* const to = static_cast<uint8_t*>(y);
  alignas(16) uint8_t bytes[kLanes];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), x);
  if (count >= 8) {
    memcpy(to, bytes, 8);
    memcpy(to + count - 8, bytes + count - 8, 8);
  } else if (count >= 4) {
    memcpy(to, bytes, 4);
    memcpy(to + count - 4, bytes + count - 4, 4);
  } else {
    for (size_t i = 0; i < count; ++i) to[i] = bytes[i];
  }
}

static PQV_INLINE __m256i LoadPartial16(const int16_t* x, size_t count) {
  if (count == kLanes) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  const size_t low = count < kLanes / 2 ? count : kLanes / 2;
  return _mm256_set_m128i(LoadPartial8(x + low, (count - low) * sizeof(int16_t)),
                          LoadPartial8(x, low * sizeof(int16_t)));
}

static inline Int32x16 LoadPartial32(const int32_t* x, size_t count) {
  if (count == kLanes) return Load32(x);
  int32_t values[kLanes] = {};
  memcpy(values, x, count * sizeof(int32_t));
  return Load32(values);
}

static inline void StorePartial32(int32_t* y, Int32x16 x, size_t count) {
  if (count == kLanes) {
    Store32(y, x);
    return;
  }
  int32_t values[kLanes];
  Store32(values, x);
  memcpy(y, values, count * sizeof(int32_t));
}

// round_shift with a shift per channel in two halves: right (with rounding) and left, of which one
// is zero. The left half saturates first, which docs/ops.md shows to be the same.
struct RoundShifter {
  Int32x16 rounding;
  Int32x16 right;
  Int32x16 left;
  bool has_left;
};

struct Requantizer {
  RoundShifter shifter;
  __m256i multiplier;
};

static inline Int32x16 RoundShift32(const RoundShifter& s, Int32x16 x) {
  x.low = _mm256_srav_epi32(_mm256_add_epi32(x.low, s.rounding.low), s.right.low);
  x.high = _mm256_srav_epi32(_mm256_add_epi32(x.high, s.rounding.high), s.right.high);
  if (s.has_left) {
    x = Clamp16(x);
    x.low = _mm256_sllv_epi32(x.low, s.left.low);
    x.high = _mm256_sllv_epi32(x.high, s.left.high);
  }
  return x;
}

static inline __m256i RoundShift16(const RoundShifter& s, Int32x16 x) {
  return Pack16(RoundShift32(s, x));
}

// vpmulhrsw is mul_q15; no multiplier is -32768, its only overflow.
static inline __m256i Requantize16(const Requantizer& r, Int32x16 accumulator) {
  return _mm256_mulhrs_epi16(RoundShift16(r.shifter, accumulator), r.multiplier);
}

// The same of an accumulator, and with shifts, in unpack order.
static inline __m256i RequantizeUnpacked16(const Requantizer& r, Int32x16 accumulator) {
  const Int32x16 t = RoundShift32(r.shifter, accumulator);
  return _mm256_mulhrs_epi16(_mm256_packs_epi32(t.low, t.high), r.multiplier);
}

// One shift in [-15, 30] for all channels.
static inline RoundShifter UniformShifter(int shift) {
  const __m256i rounding = _mm256_set1_epi32(shift > 0 ? 1 << (shift - 1) : 0);
  const __m256i right = _mm256_set1_epi32(shift > 0 ? shift : 0);
  const __m256i left = _mm256_set1_epi32(shift < 0 ? -shift : 0);
  return {{rounding, rounding}, {right, right}, {left, left}, shift < 0};
}

static inline Requantizer UniformRequantizer(int shift, int multiplier) {
  return {UniformShifter(shift), _mm256_set1_epi16(static_cast<int16_t>(multiplier))};
}

// Channels n .. n + 15.
static inline Requantizer LoadRequantizer(const ChannelRequantizer& r, size_t n) {
  return {{Load32(r.rounding + n), Load32(r.right_shift + n), Load32(r.left_shift + n),
           r.has_left_shift},
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(r.multiplier + n))};
}

// u * 512 / 2^15 rounds exactly as round_shift(u, 6) does, without its overflow.
static inline __m128i Narrow16(__m256i u, int y_bits) {
  const __m256i rounded = _mm256_mulhrs_epi16(u, _mm256_set1_epi16(1 << (15 - kFractionBits)));
  const __m128i y =
      _mm_packs_epi16(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
  const int limit = 1 << (y_bits - 1);
  return _mm_min_epi8(_mm_max_epi8(y, _mm_set1_epi8(static_cast<char>(-limit))),
                      _mm_set1_epi8(static_cast<char>(limit - 1)));
}

static inline int32_t Sum32(__m256i x) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
  return _mm_cvtsi128_si32(sum);
}

// Of 8 vectors of 8 int32 each, the sum of vector r in lane r.
static inline __m256i SumRows(const __m256i* x) {
  __m256i fours[2];
  for (size_t i = 0; i < 2; ++i) {
    const __m256i* const four = x + 4 * i;
    fours[i] =
        _mm256_hadd_epi32(_mm256_hadd_epi32(four[0], four[1]), _mm256_hadd_epi32(four[2], four[3]));
  }
  return _mm256_add_epi32(_mm256_permute2x128_si256(fours[0], fours[1], 0x20),
                          _mm256_permute2x128_si256(fours[0], fours[1], 0x31));
}

// bit_length of 8 int32 > 0.
static inline __m256i BitLengths(__m256i x) {
  __m256i length = _mm256_set1_epi32(1);
  for (int bits = 16; bits > 0; bits /= 2) {
    const __m256i has_more = _mm256_cmpgt_epi32(x, _mm256_set1_epi32((1 << bits) - 1));
    const __m256i more = _mm256_and_si256(has_more, _mm256_set1_epi32(bits));
    x = _mm256_srlv_epi32(x, more);
    length = _mm256_add_epi32(length, more);
  }
  return length;
}

// reciprocal(x, e) of 8 int32 in [1, 2^30), bit by bit: 2^(e-1) / x has 15 of them, and where it is
// 1, the largest result but one, they are all ones.
static inline __m256i Reciprocals(__m256i x, __m256i bit_length) {
  const __m256i ones = _mm256_set1_epi32(1);
  __m256i rest = _mm256_sllv_epi32(ones, _mm256_sub_epi32(bit_length, ones));
  __m256i quotient = _mm256_setzero_si256();
  for (int bit = 0; bit < 15; ++bit) {
    rest = _mm256_add_epi32(rest, rest);
    const __m256i exceeds = _mm256_cmpgt_epi32(x, rest);
    rest = _mm256_sub_epi32(rest, _mm256_andnot_si256(exceeds, x));
    quotient =
        _mm256_add_epi32(_mm256_add_epi32(quotient, quotient), _mm256_add_epi32(ones, exceeds));
  }
  return quotient;
}

// The largest of 32 uint8.
static inline uint8_t Max8(__m256i x) {
  __m128i max = _mm_max_epu8(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  max = _mm_max_epu8(max, _mm_srli_si128(max, 8));
  max = _mm_max_epu8(max, _mm_srli_si128(max, 4));
  max = _mm_max_epu8(max, _mm_srli_si128(max, 2));
  max = _mm_max_epu8(max, _mm_srli_si128(max, 1));
  return static_cast<uint8_t>(_mm_cvtsi128_si32(max));
}

}  // namespace avx2
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_ARITHMETIC_AVX2_H_
