// What the AVX-512 kernel of the softmax and the AMX kernel of attention share: from logits to z,
// and from distances to weights.

#ifndef PQV_KERNELS_SOFTMAX2N_AVX512_H_
#define PQV_KERNELS_SOFTMAX2N_AVX512_H_

#include "kernels/common/fixed_point_avx512.h"
#include "kernels/softmax2n/softmax2n.h"

namespace pqv {
namespace avx512 {

struct LogitsRequantizer {
  UniformShifter shifter;
  __m512i multiplier;
};

static PQV_INLINE LogitsRequantizer MakeLogitsRequantizer(const Softmax2n& op) {
  return {MakeUniformShifter(op.shift), _mm512_set1_epi16(static_cast<int16_t>(op.multiplier))};
}

// z of a pair of vectors of logits to which the rounding is already added, as packs leave them.
static PQV_INLINE __m512i RequantizeRounded(const LogitsRequantizer& r, __m512i a, __m512i b) {
  return _mm512_mulhrs_epi16(Shift16(r.shifter, a, b), r.multiplier);
}

static PQV_INLINE __m512i Log2Code(__m512i distance) {
  // The saturation at 65535 leaves a code of 255, whose power is 0 like that of 256.
  return _mm512_srli_epi16(_mm512_adds_epu16(distance, _mm512_set1_epi16(128)), 8);
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

// The weights of a pair of vectors of distances, uint16, as packs leave them.
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
