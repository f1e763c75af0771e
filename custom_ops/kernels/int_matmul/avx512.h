// B of IntMatMul as panels, for the AVX512-VNNI and the AMX kernel.

#ifndef PQV_KERNELS_INT_MATMUL_AVX512_H_
#define PQV_KERNELS_INT_MATMUL_AVX512_H_

#include "kernels/common/arithmetic_avx512.h"

namespace pqv {
namespace avx512 {

// Transposes a matrix of 16 x 16 int32.
static PQV_INLINE void Transpose16(__m512i* x) {
  __m512i t[16];
#pragma GCC unroll 8
  for (size_t i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
  }
  // Four rows each: x[4 i + c] holds column 4 j + c of rows 4 i .. 4 i + 3 in lane j.
#pragma GCC unroll 4
  for (size_t i = 0; i < 16; i += 4) {
    x[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    x[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    x[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    x[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (size_t c = 0; c < 4; ++c) {
    __m512i lanes[4] = {x[c], x[4 + c], x[8 + c], x[12 + c]};
    ToTileOrder<4>(lanes);
    for (size_t j = 0; j < 4; ++j) t[4 * j + c] = lanes[j];
  }
  for (size_t i = 0; i < 16; ++i) x[i] = t[i];
}

// Writes 16 or fewer rows of k bytes as steps of 64 bytes, 4 k of 16 channels each, `step` bytes
// apart, up to a whole multiple of 16 steps. What is missing is zero; `flip` is xored to all.
static inline void TransposePanel(const int8_t* b, size_t stride, size_t channels, size_t k,
                                  uint8_t flip, size_t step, uint8_t* panel) {
  const __m512i flips = _mm512_set1_epi8(static_cast<char>(flip));
  for (size_t i = 0; i < k; i += 64) {
    const __mmask64 mask = FirstLanes(k - i);
    __m512i x[16];
#pragma GCC unroll 16
    for (size_t c = 0; c < 16; ++c) {
      const __mmask64 lanes = c < channels ? mask : 0;
      const int8_t* source = b + (c < channels ? c * stride : 0) + i;
      x[c] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(lanes, source), flips);
    }
    Transpose16(x);
#pragma GCC unroll 16
    for (size_t g = 0; g < 16; ++g) _mm512_store_si512(panel + (i / 4 + g) * step, x[g]);
  }
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_INT_MATMUL_AVX512_H_
