// The factors of Winograd's inner product with VPDPBUSD (gemm/inner_product.h), and what comes off
// its sums.

#ifndef PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVX512VNNI_H_

#include "kernels/gemm/inner_product.h"
#include "kernels/packed_matmul/panels_avx512vnni.h"

namespace pqv {
namespace avx512 {

constexpr size_t kRowStep = 4 * kTripleK;  // bytes of a row in a vector

static inline int32_t* InnerOfRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  return pqv::InnerOfRows(block.prepared, block.prepared_rows, op.k);
}

// Up to 64 codes plus 8, those of other lanes 0. Sets a bit of `others` where a value is no code.
static PQV_INLINE __m512i LoadCodes(const int8_t* a, __mmask64 lanes, __mmask64* others) {
  const __m512i offset = _mm512_set1_epi8(kCodeOffset);
  const __m512i x = _mm512_maskz_add_epi8(lanes, _mm512_maskz_loadu_epi8(lanes, a), offset);
  *others |= _mm512_cmpgt_epu8_mask(x, _mm512_set1_epi8(kMaxCode));
  return x;
}

static PQV_INLINE bool AreCodes(const int8_t* a, size_t k) {
  __mmask64 others = 0;
  for (size_t i = 0; i < k; i += 64) LoadCodes(a + i, FirstLanes(k - i), &others);
  return others == 0;
}

// Four rows, side by side as each sum waits for the one before. `of_rows` are what their sums begin
// with. Returns whether all values are codes.
static PQV_INLINE bool PrepareInnerRows(const int8_t* const (&a)[4], size_t k,
                                        uint8_t* const (&rows)[4], int32_t* const (&of_rows)[4]) {
  constexpr __mmask16 kFirstOfTriples = 0x249;
  const size_t stride = InnerStride(k);
  const __m512i offset = _mm512_set1_epi8(kCodeOffset);
  __m512i sums[4] = {};
  __m512i pairs[4] = {};
  __mmask64 others = 0;
  for (size_t i = 0; i < stride; i += kRowStep) {
    const __mmask64 lanes = FirstLanes(Min(k - i, kRowStep));
    const __mmask64 padded = FirstLanes(Min(stride - i, kRowStep));
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; ++r) {
      const __m512i x = LoadCodes(a[r] + i, lanes, &others);
      _mm512_mask_storeu_epi8(rows[r] + i, padded, x);
      sums[r] = _mm512_dpbusd_epi32(sums[r], x, offset);
      const __m512i next = _mm512_alignr_epi32(x, x, 1);
      pairs[r] = _mm512_mask_dpbusd_epi32(pairs[r], kFirstOfTriples, x, next);
    }
  }
  for (size_t r = 0; r < 4; ++r) {
    *of_rows[r] = -_mm512_reduce_add_epi32(_mm512_add_epi32(sums[r], pairs[r]));
  }
  return others == 0;
}

static inline bool PrepareInner(const PackedMatMul& op, const PackedMatMulBlock& block) {
  bool are_codes = true;
  for (size_t first = block.row_begin; first < block.row_end; first += 4) {
    const int8_t* a[4];
    uint8_t* rows[4];
    int32_t* of_rows[4];
    for (size_t r = 0; r < 4; ++r) {
      const size_t row = Min(first + r, block.row_end - 1);
      a[r] = block.a + row * block.a_stride;
      rows[r] = block.prepared + row * InnerStride(op.k);
      of_rows[r] = InnerOfRows(op, block) + row;
    }
    are_codes &= PrepareInnerRows(a, op.k, rows, of_rows);
  }
  return are_codes;
}

// The steps of 16 * kVectors channels from n on, plus 8.
template <size_t kVectors>
static inline void MakeInnerSteps(const PackedMatMul& op, size_t n, uint8_t* steps) {
  constexpr size_t kStep = kVectors * kVectorBytes;
  MakeSteps<4, kVectors, OffsetInt4>(op, n, steps);
  const size_t groups = CeilDivide(op.k, kGroup);
  memset(steps + groups * kStep, 0, (Triples(op.k) * kTripleGroups - groups) * kStep);
}

// Four codes of the lower or the upper nibbles of each of 4 channels, plus 8.
static PQV_INLINE __m128i LowCodes(__m128i x) {
  return _mm_and_si128(_mm_xor_si128(x, _mm_set1_epi8(kCodeOffset)), _mm_set1_epi8(kMaxCode));
}
static PQV_INLINE __m128i HighCodes(__m128i x) { return LowCodes(_mm_srli_epi16(x, 4)); }

// What the sums of channels begin with beside the bias; `sums` are those of their weights.
static inline void FindInnerOfChannels(const PackedMatMul& op, const int32_t* sums,
                                       int32_t* of_channels) {
  const size_t groups = CeilDivide(op.k, kGroupSize);
  for (size_t n = 0; n < op.n; n += kPanelChannels) {
    const auto* const panel = reinterpret_cast<const __m128i*>(Group(op.weights, 4, op.k, 0, n));
    __m128i low = _mm_setzero_si128();
    __m128i high = _mm_setzero_si128();
    for (size_t g = 0; g + 1 < groups; g += kTripleGroups) {
      const __m128i x = _mm_loadu_si128(panel + g);
      const __m128i y = _mm_loadu_si128(panel + g + 1);
      low = _mm_dpbusd_epi32(low, LowCodes(x), LowCodes(y));
      high = _mm_dpbusd_epi32(high, HighCodes(x), HighCodes(y));
    }
    alignas(16) int32_t pairs[kPanelChannels];
    _mm_store_si128(reinterpret_cast<__m128i*>(pairs), low);
    _mm_store_si128(reinterpret_cast<__m128i*>(pairs + 4), high);
    for (size_t c = 0; c < kPanelChannels; ++c) {
      of_channels[n + c] = -(pairs[c] + kCodeOffset * sums[n + c]);
    }
  }
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVX512VNNI_H_
