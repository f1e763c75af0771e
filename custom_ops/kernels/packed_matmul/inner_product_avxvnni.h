// Winograd's inner product with VPDPBUSD on vectors of 256 bits (gemm/inner_product.h): rows, and
// tiles of 4 of them by two panels.

#ifndef PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVXVNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVXVNNI_H_

#include "kernels/gemm/inner_product.h"
#include "kernels/gemm/tile_avxvnni.h"
#include "kernels/packed_matmul/avx2.h"

namespace pqv {
namespace avxvnni {

constexpr size_t kInnerRows = 4;               // of a tile: 8 sums, 4 weights, 4 of the row
constexpr size_t kInnerChunk = 85 * kTripleK;  // k of a pass
static_assert(kInnerChunk <= avx2::kPackedChunk, "panels have room for it");
constexpr size_t kRowStep = 8 * kTripleK;  // bytes of a row in three vectors

// `of_row` is what the sums of the row begin with.
static PQV_INLINE void PrepareInnerRow(const int8_t* a, size_t k, uint8_t* row, int32_t* of_row) {
  const __m256i next = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 7);
  // The first groups of triples in each vector of a step, and the second ones.
  const __m256i first[] = {_mm256_setr_epi32(-1, 0, 0, -1, 0, 0, -1, 0),
                           _mm256_setr_epi32(0, -1, 0, 0, -1, 0, 0, -1),
                           _mm256_setr_epi32(0, 0, -1, 0, 0, -1, 0, 0)};
  const __m256i second[] = {first[1], first[2], first[0]};
  const __m256i offset = _mm256_set1_epi8(static_cast<char>(kInnerOffset));
  const size_t stride = InnerStride(k);
  __m256i sums = _mm256_setzero_si256();
  for (size_t i = 0; i < stride; i += kRowStep) {
    alignas(32) int8_t last[kRowStep] = {};
    const bool is_whole = i + kRowStep <= k;
    if (!is_whole) memcpy(last, a + i, k - i);
    const int8_t* const source = is_whole ? a + i : last;
    uint8_t* const target = is_whole ? row + i : reinterpret_cast<uint8_t*>(last);
    const __m256i x[] = {avx2::Load32Bytes(source), avx2::Load32Bytes(source + 32),
                         avx2::Load32Bytes(source + 64)};
    // The groups behind those of x: the last one of the second vector is in the third.
    const __m256i y[] = {_mm256_permutevar8x32_epi32(x[0], next),
                         avx2::Load32Bytes(source + 32 + 4),
                         _mm256_permutevar8x32_epi32(x[2], next)};
    for (size_t v = 0; v < 3; ++v) {
      const __m256i z = _mm256_xor_si256(x[v], _mm256_andnot_si256(second[v], offset));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + 32 * v), z);
      Dpbusd::Add(_mm256_and_si256(z, first[v]), y[v], &sums);
    }
    if (!is_whole) memcpy(row + i, last, stride - i);
  }
  *of_row = -avx2::Sum32(sums);
}

static inline void PrepareInner(const PackedMatMul& op, const PackedMatMulBlock& block) {
  int32_t* const of_rows = InnerOfRows(block.prepared, block.prepared_rows, op.k);
  for (size_t r = block.row_begin; r < block.row_end; ++r) {
    PrepareInnerRow(block.a + r * block.a_stride, op.k, block.prepared + r * InnerStride(op.k),
                    of_rows + r);
  }
}

// The sums of `tiles` times kRows rows and two panels `panel_bytes` apart, which begin with
// `of_rows`, or with 0 where that is null.
template <size_t kRows>
static __attribute__((noinline)) void MultiplyTripleTiles(const uint8_t* a, size_t stride,
                                                          size_t tiles, const uint8_t* panels,
                                                          size_t panel_bytes, size_t triples,
                                                          const int32_t* of_rows,
                                                          const avx2::TileSums& sums) {
  constexpr size_t kGroup = avx2::kTileGroup;
  constexpr size_t kBytes = avx2::kTileBytes;
  for (size_t row = 0; row < tiles * kRows; row += kRows, a += kRows * stride) {
    __m256i low[kRows];   // of the first panel
    __m256i high[kRows];  // of the second
    avx2::ForRows<kRows>([&](size_t r) PQV_LAMBDA {
      low[r] = high[r] = _mm256_set1_epi32(of_rows == nullptr ? 0 : of_rows[row + r]);
    });
    const uint8_t* w = panels;
    const uint8_t* x = a;
    for (size_t t = 0; t < triples; ++t, w += kTripleGroups * kBytes, x += kTripleK) {
      const __m256i low0 = avx2::Load32Bytes(w);
      const __m256i low1 = avx2::Load32Bytes(w + kBytes);
      const __m256i high0 = avx2::Load32Bytes(w + panel_bytes);
      const __m256i high1 = avx2::Load32Bytes(w + panel_bytes + kBytes);
      avx2::ForRows<kRows>([&](size_t r) PQV_LAMBDA {
        const __m256i x0 = avx2::BroadcastGroup(x + r * stride);
        const __m256i x1 = avx2::BroadcastGroup(x + r * stride + kGroup);
        Dpbusd::Add(_mm256_add_epi8(x0, low1), _mm256_add_epi8(x1, low0), &low[r]);
        Dpbusd::Add(_mm256_add_epi8(x0, high1), _mm256_add_epi8(x1, high0), &high[r]);
      });
      const __m256i low2 = avx2::Load32Bytes(w + 2 * kBytes);
      const __m256i high2 = avx2::Load32Bytes(w + panel_bytes + 2 * kBytes);
      avx2::ForRows<kRows>([&](size_t r) PQV_LAMBDA {
        const __m256i x2 = avx2::BroadcastGroup(x + r * stride + 2 * kGroup);
        Dpbusd::Add(x2, low2, &low[r]);
        Dpbusd::Add(x2, high2, &high[r]);
      });
    }
    avx2::ForRows<kRows>([&](size_t r) PQV_LAMBDA {
      avx2::Store(sums, row + r, 0, low[r]);
      avx2::Store(sums, row + r, avx2::kTileChannels, high[r]);
    });
  }
}

// The same for any number of rows.
static inline void MultiplyTriples(const uint8_t* a, size_t stride, size_t rows,
                                   const uint8_t* panels, size_t panel_bytes, size_t triples,
                                   const int32_t* of_rows, const avx2::TileSums& sums) {
  avx2::ForTiles<kInnerRows>(rows, [&](auto count, size_t first, size_t tiles) {
    MultiplyTripleTiles<decltype(count)::kValue>(
        a + first * stride, stride, tiles, panels, panel_bytes, triples,
        of_rows == nullptr ? nullptr : of_rows + first, avx2::Move(sums, first, 0));
  });
}

}  // namespace avxvnni
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_INNER_PRODUCT_AVXVNNI_H_
