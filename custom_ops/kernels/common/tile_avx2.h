// A 4 x 16 tile of an int8 matrix product, for files built with -mavx2.
//
// Products of int8 saturate in vpmaddubsw, so both sides go through vpmaddwd as int16: exact for
// every int8 and uint8 value, two sums of products per channel and step.

#ifndef PQV_KERNELS_COMMON_TILE_AVX2_H_
#define PQV_KERNELS_COMMON_TILE_AVX2_H_

#include "kernels/common/fixed_point_avx2.h"

namespace pqv {
namespace avx2 {

// 8 sums, 2 weights, 1 activation, 1 product; with 6 rows compilers begin to spill.
constexpr size_t kTileRows = 4;

// Rows of activations widened to int16, zero up to an even k.
template <size_t kMaxK>
struct WideRows {
  static_assert(kMaxK % 2 == 0, "a step takes two k");
  // A cache line more than needed keeps the rows from competing for the same cache set.
  static constexpr size_t kStride = kMaxK + 32;
  alignas(32) int16_t data[kTileRows][kStride];
};

static inline __m256i Widen8(const int8_t* x) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

static inline __m256i Widen8(const uint8_t* x) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

// Widens `rows` rows of `k` elements. k <= kMaxK.
template <size_t kMaxK, typename T>
static inline void WidenRows(const T* a, size_t stride, size_t rows, size_t k,
                             WideRows<kMaxK>* wide) {
  for (size_t r = 0; r < rows; ++r) {
    const T* source = a + r * stride;
    int16_t* target = wide->data[r];
    size_t i = 0;
    for (; i + 16 <= k; i += 16) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(target + i), Widen8(source + i));
    }
    for (; i < k; ++i) target[i] = source[i];
    if (k % 2 != 0) target[k] = 0;
  }
}

static inline __m256i BroadcastPair(const int16_t* x) {
  int32_t pair;
  memcpy(&pair, x, sizeof(pair));
  return _mm256_set1_epi32(pair);
}

// accumulator[r][c] += sum over k < 2 * steps of a[r][k] * panel[k / 2][c][k % 2].
//
// The panel ("k2n16") holds 16 channels, 32 bytes per step: byte 2 * c + j is k = 2 * step + j of
// channel c.
template <size_t kRows>
static inline void AccumulateRows(const int16_t* a, size_t a_stride, const int8_t* panel,
                                  size_t steps, int32_t (*accumulator)[kLanes]) {
  __m256i low[kRows] = {};
  __m256i high[kRows] = {};
  for (size_t s = 0; s < steps; ++s) {
    const __m256i w_low = Widen8(panel + 32 * s);
    const __m256i w_high = Widen8(panel + 32 * s + 16);
    for (size_t r = 0; r < kRows; ++r) {
      const __m256i pair = BroadcastPair(a + r * a_stride + 2 * s);
      low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pair, w_low));
      high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pair, w_high));
    }
  }
  for (size_t r = 0; r < kRows; ++r)
    Store32(accumulator[r], Add32(Load32(accumulator[r]), {low[r], high[r]}));
}

// The same for 1 <= rows <= kTileRows rows.
template <size_t kMaxK>
static inline void AccumulateTile(const WideRows<kMaxK>& a, size_t rows, const int8_t* panel,
                                  size_t steps, int32_t (*accumulator)[kLanes]) {
  constexpr size_t kStride = WideRows<kMaxK>::kStride;
  const int16_t* data = a.data[0];
  switch (rows) {
    case 1:
      return AccumulateRows<1>(data, kStride, panel, steps, accumulator);
    case 2:
      return AccumulateRows<2>(data, kStride, panel, steps, accumulator);
    case 3:
      return AccumulateRows<3>(data, kStride, panel, steps, accumulator);
    default:
      return AccumulateRows<4>(data, kStride, panel, steps, accumulator);
  }
}

}  // namespace avx2
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_TILE_AVX2_H_
