// The factors of Winograd's inner product with VPDPBUSD (gemm/inner_product.h), and what its sums
// begin with.

#ifndef PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVX512VNNI_H_

#include "kernels/gemm/inner_product.h"
#include "kernels/packed_matmul/panels_avx512vnni.h"

namespace pqv {
namespace avx512 {

constexpr size_t kRowStep = 4 * kTripleK;     // bytes of a row in a vector
constexpr __mmask16 kFirstOfTriples = 0x249;  // of the groups in it
constexpr __mmask16 kSecondOfTriples = 0x492;

// The lanes of x that are no codes of 7 bits.
static PQV_INLINE __mmask64 BeyondNarrow(__m512i x) {
  return _mm512_movepi8_mask(_mm512_sub_epi8(x, _mm512_set1_epi8(kMinNarrow)));
}

static inline bool AreNarrowRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  for (size_t r = block.row_begin; r < block.row_end; ++r) {
    const int8_t* const a = block.a + r * block.a_stride;
    __mmask64 beyond = 0;
    for (size_t i = 0; i < op.k; i += 64) {
      beyond |= BeyondNarrow(_mm512_maskz_loadu_epi8(FirstLanes(op.k - i), a + i));
    }
    if (beyond != 0) return false;
  }
  return true;
}

// Four rows, side by side as each sum waits for the one before. `of_rows` are what their sums begin
// with.
static PQV_INLINE void PrepareInnerRows(const int8_t* const (&a)[4], size_t k,
                                        uint8_t* const (&rows)[4], int32_t* const (&of_rows)[4]) {
  const size_t stride = InnerStride(k);
  const __m512i offset = _mm512_mask_set1_epi32(_mm512_set1_epi8(static_cast<char>(kInnerOffset)),
                                                kSecondOfTriples, 0);
  __m512i sums[4] = {};
  for (size_t i = 0; i < stride; i += kRowStep) {
    const __mmask64 lanes = FirstLanes(Min(k - i, kRowStep));
    const __mmask64 padded = FirstLanes(Min(stride - i, kRowStep));
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; ++r) {
      const __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi8(lanes, a[r] + i), offset);
      _mm512_mask_storeu_epi8(rows[r] + i, padded, x);
      const __m512i next = _mm512_alignr_epi32(x, x, 1);
      sums[r] = _mm512_mask_dpbusd_epi32(sums[r], kFirstOfTriples, x, next);
    }
  }
  for (size_t r = 0; r < 4; ++r) *of_rows[r] = -_mm512_reduce_add_epi32(sums[r]);
}

static inline void PrepareInner(const PackedMatMul& op, const PackedMatMulBlock& block) {
  for (size_t first = block.row_begin; first < block.row_end; first += 4) {
    const int8_t* a[4];
    uint8_t* rows[4];
    int32_t* of_rows[4];
    for (size_t r = 0; r < 4; ++r) {
      const size_t row = Min(first + r, block.row_end - 1);
      a[r] = block.a + row * block.a_stride;
      rows[r] = block.prepared + row * InnerStride(op.k);
      of_rows[r] = InnerOfRows(block.prepared, block.prepared_rows, op.k) + row;
    }
    PrepareInnerRows(a, op.k, rows, of_rows);
  }
}

// The steps of 16 * kVectors channels from n on, whole triples of them.
template <int kBits, size_t kVectors>
static inline void MakeInnerSteps(const PackedMatMul& op, size_t n, uint8_t* steps) {
  constexpr size_t kStep = kVectors * kVectorBytes;
  MakeSteps<kBits, kVectors>(op, n, steps);
  const size_t groups = CeilDivide(op.k, kGroup);
  memset(steps + groups * kStep, 0, (Triples(op.k) * kTripleGroups - groups) * kStep);
}

// The weights of a group and a panel, bytes with a sign.
template <int kBits>
static PQV_INLINE __m256i LoadGroup(const uint8_t* group) {
  if constexpr (kBits == 8) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group));
  } else {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(group));
    const __m512i both = _mm512_zextsi256_si512(_mm256_set_m128i(_mm_srli_epi16(x, 4), x));
    return _mm512_castsi512_si256(SignedInt4::LowInt4(both));
  }
}

// What the sums of channels begin with beside the bias, of the direct product and of Winograd's.
// Returns whether all weights are codes of 7 bits; else the latter are of no use.
template <int kBits>
static inline bool SumWeights(const PackedMatMul& op, int32_t* sums) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i offset = _mm256_set1_epi8(static_cast<char>(kInnerOffset));
  const size_t groups = CeilDivide(op.k, kGroupSize);
  int32_t* const of_channels = sums + PaddedChannels(op.n);
  __mmask64 beyond = 0;
  for (size_t n = 0; n < op.n; n += kPanelChannels) {
    const uint8_t* const panel = Group(op.weights, kBits, op.k, 0, n);
    __m256i direct = zero;
    __m256i inner = zero;
    for (size_t g = 0; g < groups; g += kTripleGroups) {
      __m256i y[kTripleGroups];
      for (size_t i = 0; i < kTripleGroups; ++i) {
        y[i] = g + i < groups ? LoadGroup<kBits>(panel + (g + i) * GroupBytes(kBits)) : zero;
        beyond |= BeyondNarrow(_mm512_zextsi256_si512(y[i]));
        direct = _mm256_dpbusd_epi32(direct, offset, y[i]);
      }
      inner = _mm256_dpbusd_epi32(inner, _mm256_xor_si256(y[1], offset), y[0]);
      inner = _mm256_dpbusd_epi32(inner, offset, y[2]);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + n), _mm256_sub_epi32(zero, direct));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(of_channels + n), _mm256_sub_epi32(zero, inner));
  }
  return beyond == 0;
}
static_assert(kRowOffset == kInnerOffset, "of the rows of both");

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVX512VNNI_H_
