// What the AVX512-VNNI and the AMX kernel of IntWeightedMean share: V as panels and the epilogue.

#ifndef PQV_KERNELS_WEIGHTED_MEAN_AVX512_H_
#define PQV_KERNELS_WEIGHTED_MEAN_AVX512_H_

#include "kernels/common/fixed_point_avx512.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace avx512 {

// Row j of V, 16 * kVectors or fewer columns; zero beyond `rows`. Two vectors want 8 columns in
// the lower half of each lane.
template <size_t kVectors>
static PQV_INLINE __m512i LoadColumns(const int8_t* v, size_t stride, size_t j, size_t rows,
                                      __mmask64 columns) {
  if (j >= rows) return _mm512_setzero_si512();
  const __m512i x = _mm512_maskz_loadu_epi8(columns, v + j * stride);
  if constexpr (kVectors == 4) return x;
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), x);
}

// Writes `rows` rows of V as steps of 4 rows, kVectors vectors in tile order each.
template <size_t kVectors>
static inline void InterleavePanel(const int8_t* v, size_t stride, size_t rows, __mmask64 columns,
                                   uint8_t* panel) {
  for (size_t j = 0; j < rows; j += 4) {
    __m512i x[4];
    for (size_t i = 0; i < 4; ++i) {
      x[i] = LoadColumns<kVectors>(v, stride, j + i, rows, columns);
    }
    const __m512i low01 = _mm512_unpacklo_epi8(x[0], x[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(x[2], x[3]);
    _mm512_store_si512(panel, _mm512_unpacklo_epi16(low01, low23));
    _mm512_store_si512(panel + 64, _mm512_unpackhi_epi16(low01, low23));
    if constexpr (kVectors == 4) {
      const __m512i high01 = _mm512_unpackhi_epi8(x[0], x[1]);
      const __m512i high23 = _mm512_unpackhi_epi8(x[2], x[3]);
      _mm512_store_si512(panel + 128, _mm512_unpacklo_epi16(high01, high23));
      _mm512_store_si512(panel + 192, _mm512_unpackhi_epi16(high01, high23));
    }
    panel += 64 * kVectors;
  }
}

static PQV_INLINE RowScale ScaleOfRow(const WeightedMean& op, size_t m) {
  const uint8_t* w = op.w + m * op.w_stride;
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sums = _mm512_setzero_si512();
  for (size_t i = 0; i < op.n; i += 64) {
    sums = _mm512_dpbusd_epi32(sums, _mm512_maskz_loadu_epi8(FirstLanes(op.n - i), w + i), ones);
  }
  return WeightedMeanScale(op.shift, op.multiplier,
                           static_cast<uint32_t>(_mm512_reduce_add_epi32(sums)));
}

// Stores the columns of a row whose sums are in tile order.
template <size_t kVectors>
static PQV_INLINE void StoreMean(const RowScale& scale, const __m512i* sums, const Limits& limits,
                                 __mmask64 columns, int8_t* y) {
  const UniformShifter shifter = MakeUniformShifter(scale.shift);
  const __m512i multiplier = _mm512_set1_epi16(static_cast<int16_t>(scale.multiplier));
  __m512i u[kVectors / 2];
  for (size_t v = 0; v < kVectors; v += 2) {
    u[v / 2] = _mm512_mulhrs_epi16(RoundShift16(shifter, sums[v], sums[v + 1]), multiplier);
  }
  _mm512_mask_storeu_epi8(y, columns, Narrow16<kVectors>(u, limits));
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_WEIGHTED_MEAN_AVX512_H_
