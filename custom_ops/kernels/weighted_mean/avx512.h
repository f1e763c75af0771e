// What the AVX512-VNNI and the AMX kernel of IntWeightedMean share: V as panels and the epilogue.

#ifndef PQV_KERNELS_WEIGHTED_MEAN_AVX512_H_
#define PQV_KERNELS_WEIGHTED_MEAN_AVX512_H_

#include "kernels/common/arithmetic_avx512.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace avx512 {

// 16 * kVectors or fewer columns of a row of V. Two vectors want 8 columns in the lower half of
// each lane.
template <size_t kVectors>
static PQV_INLINE __m512i LoadColumns(const int8_t* v, __mmask64 columns) {
  const __m512i x = _mm512_maskz_loadu_epi8(columns, v);
  if constexpr (kVectors == 4) return x;
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), x);
}

// Writes 4 rows of V as one step: kVectors vectors in tile order.
template <size_t kVectors>
static PQV_INLINE void InterleaveStep(const __m512i* x, uint8_t* step) {
  const __m512i low01 = _mm512_unpacklo_epi8(x[0], x[1]);
  const __m512i low23 = _mm512_unpacklo_epi8(x[2], x[3]);
  _mm512_store_si512(step, _mm512_unpacklo_epi16(low01, low23));
  _mm512_store_si512(step + 64, _mm512_unpackhi_epi16(low01, low23));
  if constexpr (kVectors == 4) {
    const __m512i high01 = _mm512_unpackhi_epi8(x[0], x[1]);
    const __m512i high23 = _mm512_unpackhi_epi8(x[2], x[3]);
    _mm512_store_si512(step + 128, _mm512_unpacklo_epi16(high01, high23));
    _mm512_store_si512(step + 192, _mm512_unpackhi_epi16(high01, high23));
  }
}

// Writes `rows` rows of V as steps of 4 rows, zero beyond them.
template <size_t kVectors>
static inline void InterleavePanel(const int8_t* v, size_t stride, size_t rows, __mmask64 columns,
                                   uint8_t* panel) {
  for (size_t j = 0; j < rows; j += 4) {
    __m512i x[4];
    for (size_t i = 0; i < 4; ++i) {
      x[i] = j + i < rows ? LoadColumns<kVectors>(v + (j + i) * stride, columns)
                          : _mm512_setzero_si512();
    }
    InterleaveStep<kVectors>(x, panel + j / 4 * 64 * kVectors);
  }
}

// How 16 rows are requantized.
struct MeanScales {
  alignas(64) int32_t right[kLanes32];
  alignas(64) int32_t rounding[kLanes32];
  alignas(64) int32_t left[kLanes32];
  alignas(64) int32_t multiplier[kLanes32];  // twice, as int16
  bool has_left;
};

// `sums` are those of the weights, a row per lane.
static PQV_INLINE void FindMeanScales(int shift, int multiplier, __m512i sums, MeanScales* scales) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i divisor = _mm512_max_epu32(sums, one);
  const __m512i bit_length = BitLengths(divisor);
  const __m512i shifts = _mm512_add_epi32(bit_length, _mm512_set1_epi32(shift));
  const __m512i right = _mm512_max_epi32(shifts, zero);
  const __m512i left = _mm512_max_epi32(_mm512_sub_epi32(zero, shifts), zero);
  const __m512i product = _mm512_mullo_epi32(Reciprocals(divisor), _mm512_set1_epi32(multiplier));
  const __m512i scaled =
      _mm512_srli_epi32(_mm512_add_epi32(product, _mm512_set1_epi32(1 << 14)), 15);
  _mm512_store_si512(scales->right, right);
  _mm512_store_si512(scales->rounding, _mm512_srli_epi32(_mm512_sllv_epi32(one, right), 1));
  _mm512_store_si512(scales->left, left);
  _mm512_store_si512(scales->multiplier, _mm512_or_si512(scaled, _mm512_slli_epi32(scaled, 16)));
  scales->has_left = _mm512_test_epi32_mask(left, left) != 0;
}

// Those of all rows, 16 by 16.
static inline void FindScalesOfRows(const WeightedMean& op, MeanScales* scales) {
  const __m512i ones = _mm512_set1_epi8(1);
  for (size_t m = 0; m < op.m; m += kLanes32) {
    __m512i sums[kLanes32] = {};
    for (size_t r = 0; r < Min(op.m - m, kLanes32); ++r) {
      const uint8_t* w = op.w + (m + r) * op.w_stride;
      for (size_t i = 0; i < op.n; i += 64) {
        const __m512i weights = _mm512_maskz_loadu_epi8(FirstLanes(op.n - i), w + i);
        sums[r] = _mm512_dpbusd_epi32(sums[r], weights, ones);
      }
    }
    FindMeanScales(op.shift, op.multiplier, SumRows(sums), scales++);
  }
}

// Stores the columns of row r of those that share `scales`, whose sums are in tile order.
template <size_t kVectors>
static PQV_INLINE void StoreMean(const MeanScales& scales, size_t r, const __m512i* sums,
                                 const Limits& limits, __mmask64 columns, int8_t* y) {
  const UniformShifter shifter = {_mm512_set1_epi32(scales.rounding[r]),
                                  _mm512_set1_epi32(scales.right[r]),
                                  _mm512_set1_epi32(scales.left[r]), scales.has_left};
  const __m512i multiplier = _mm512_set1_epi32(scales.multiplier[r]);
  __m512i u[kVectors / 2];
  for (size_t v = 0; v < kVectors; v += 2) {
    u[v / 2] = _mm512_mulhrs_epi16(RoundShift16(shifter, sums[v], sums[v + 1]), multiplier);
  }
  _mm512_mask_storeu_epi8(y, columns, Narrow16<kVectors>(u, limits));
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_WEIGHTED_MEAN_AVX512_H_
