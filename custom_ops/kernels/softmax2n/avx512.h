// What the AVX-512 kernels of the softmax and of attention share: from differences to weights.

#ifndef PQV_KERNELS_SOFTMAX2N_AVX512_H_
#define PQV_KERNELS_SOFTMAX2N_AVX512_H_

#include "kernels/common/arithmetic_avx512.h"
#include "kernels/softmax2n/softmax2n.h"

namespace pqv {
namespace avx512 {

// Differences of int16 from the row's maximum, as distances in [0, 32766].
static PQV_INLINE __m512i Distance(__m512i max, __m512i t, __m512i multiplier) {
  return _mm512_mulhrs_epi16(_mm512_subs_epi16(max, t), multiplier);
}

static PQV_INLINE __m512i Log2Code(__m512i distance) {
  // x * 128 / 2^15 rounds as (x + 128) >> 8 does.
  return _mm512_mulhrs_epi16(distance, _mm512_set1_epi16(128));
}

static PQV_INLINE __m512i UniformWeight(__m512i distance) {
  const __m512i x = _mm512_slli_epi16(_mm512_and_si512(distance, _mm512_set1_epi16(255)), 7);
  const __m512i curve = _mm512_mulhrs_epi16(x, _mm512_set1_epi16(kSoftmaxCurve));
  const __m512i slope = _mm512_sub_epi16(_mm512_set1_epi16(kSoftmaxSlope), curve);
  const __m512i fraction =
      _mm512_sub_epi16(_mm512_set1_epi16(kSoftmaxOne), _mm512_mulhrs_epi16(x, slope));
  // vpsrlvw gives 0 for every count of 16 or more.
  const __m512i power = _mm512_srlv_epi16(_mm512_set1_epi16(256), _mm512_srli_epi16(distance, 8));
  return _mm512_mulhrs_epi16(fraction, power);
}

// The larger ones of these magnitudes and those of t.
static PQV_INLINE __m512i MaxMagnitude(__m512i magnitudes, __m512i t) {
  return _mm512_max_epu16(magnitudes, _mm512_abs_epi16(t));
}

// Whether no t of these magnitudes is at an end of int16.
static PQV_INLINE bool AreInRange(__m512i magnitudes) {
  return _mm512_cmpge_epu16_mask(magnitudes, _mm512_set1_epi16(INT16_MAX)) == 0;
}

// The weights of a pair of vectors of distances, as packs leave them.
template <bool kLog2>
static PQV_INLINE __m512i SoftmaxWeights(__m512i low, __m512i high) {
  if constexpr (kLog2) {
    const __m512i codes = _mm512_packus_epi16(Log2Code(low), Log2Code(high));
    const __m512i powers = _mm512_broadcast_i32x4(
        _mm_setr_epi8(static_cast<char>(128), 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0));
    return _mm512_shuffle_epi8(powers, _mm512_min_epu8(codes, _mm512_set1_epi8(15)));
  }
  return _mm512_packus_epi16(UniformWeight(low), UniformWeight(high));
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_SOFTMAX2N_AVX512_H_
