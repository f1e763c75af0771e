// How a product is split on arm64 (strassen.h), and the factors of its rows.

#ifndef PQV_KERNELS_GEMM_STRASSEN_ROWS_NEON_H_
#define PQV_KERNELS_GEMM_STRASSEN_ROWS_NEON_H_

#include "kernels/common/saturation_neon.h"
#include "kernels/gemm/strassen.h"
#include "kernels/gemm/strassen_factors.h"
#include "kernels/gemm/tile_neon.h"

namespace pqv {
namespace arm64 {

constexpr size_t kFastRows = 16;  // of a tile of one level, as many as its channels
constexpr size_t kFastChannels = 2 * kPanelChannels;
constexpr size_t kMaxFastTile = kFastRows << (kMaxStrassenLevels - 1);
constexpr size_t kMaxFastPassK = 768;

// The bytes of the factors of 16 rows, or of 16 channels, that have `k`; and of those with B12.
static constexpr size_t FactorBytes(size_t k) { return kStrassenProducts * 8 * k / 2; }
static constexpr size_t PanelFactorBytes(size_t k) { return FactorBytes(k) + 8 * k / 2; }

// A product that is split once or twice.
struct FastShape {
  size_t levels;

  // Rows of a tile, as many as its channels.
  constexpr size_t Tile() const { return kFastRows << (levels - 1); }

  // Of the factors of a tile: with two levels, each of the first has factors itself.
  constexpr size_t RowBytes(size_t k) const {
    return levels == 1 ? FactorBytes(k) : kStrassenProducts * FactorBytes(k / 2);
  }
  constexpr size_t PanelBytes(size_t k) const {
    return levels == 1 ? PanelFactorBytes(k) : kStrassenProducts * FactorBytes(k / 2);
  }

  // The k of a pass.
  size_t PassK(size_t k) const {
    const size_t passes = CeilDivide(k, kMaxFastPassK);
    return RoundUp(CeilDivide(k, passes), kBlockK << levels);
  }

  size_t WholeEnd(size_t begin, size_t end) const { return end - (end - begin) % Tile(); }
};

// The factors of all rows of a product, which its tasks share: pass by pass, rows after rows.
struct RowFactors {
  uint8_t* data;
  size_t row_tiles;
  FastShape shape;

  size_t Bytes(size_t k) const { return row_tiles * shape.RowBytes(k); }

  // Of the pass from k on.
  uint8_t* At(size_t k, size_t pass_k, size_t row) const {
    return data + Bytes(k) + row / shape.Tile() * shape.RowBytes(pass_k);
  }
};

// The factors of 16 rows of codes, or of sums of codes.
template <bool kAreCodes>
static inline void MakeFactorsOfTile(const uint8_t* a, size_t stride, size_t k, uint8_t* target) {
  MakeFactorsOfRows<kAreCodes>(a, stride, k / 2, target);
  MakeFactorsOfRows<kAreCodes>(a + kHalfRows * stride, stride, k / 2, target + kHalfBytes);
}

// S2, S3, S1, S4 of blocks of 16 rows, whose codes saturate where they are beyond [-8, 7].
struct OuterSums {
  uint8_t sums[4][kFastRows * kMaxFastPassK / 2];

  void Make(const uint8_t* a, size_t stride, size_t block_k) {
    for (size_t row = 0; row < kFastRows; ++row, a += stride) {
      for (size_t i = 0; i < block_k; i += kBlockK) {
        const int8x16_t a11 = Code(a + i);
        const int8x16_t a12 = Code(a + block_k + i);
        const int8x16_t a21 = Code(a + kFastRows * stride + i);
        const int8x16_t a22 = Code(a + kFastRows * stride + block_k + i);
        const int8x16_t s1 = vaddq_s8(a21, a22);
        const int8x16_t s2 = vsubq_s8(s1, a11);
        const size_t at = row * block_k + i;
        StoreBytes(sums[0] + at, s2);
        StoreBytes(sums[1] + at, vsubq_s8(a11, a21));
        StoreBytes(sums[2] + at, s1);
        StoreBytes(sums[3] + at, vsubq_s8(a12, s2));
      }
    }
  }

 private:
  static PQV_INLINE int8x16_t Code(const uint8_t* a) {
    const int8x16_t x = LoadBytes(a);
    SaturateBeyondInt4(x);
    return x;
  }
};

// The factors of each factor of 32 rows, in the order of the products.
static inline void MakeFactorsOfTwoLevels(const uint8_t* a, size_t stride, size_t k,
                                          uint8_t* target, OuterSums* outer) {
  const size_t block_k = k / 2;
  outer->Make(a, stride, block_k);
  const uint8_t* const a12 = a + block_k;
  const uint8_t* const a22 = a12 + kFastRows * stride;
  const uint8_t* const codes[] = {a, a12, nullptr, nullptr, a22, nullptr, nullptr};
  const uint8_t* sums = outer->sums[0];
  for (const uint8_t* block : codes) {
    if (block != nullptr) {
      MakeFactorsOfTile<true>(block, stride, block_k, target);
    } else {
      MakeFactorsOfTile<false>(sums, block_k, block_k, target);
      sums += sizeof(outer->sums[0]);
    }
    target += FactorBytes(block_k);
  }
}

// Makes them for rows row_begin .. row_end of `op`, whole tiles. Returns false, and leaves it at
// that, where values are no codes of 4 bits.
static inline bool MakeRowFactors(const Product& op, const RowFactors& factors) {
  const FastShape shape = factors.shape;
  const size_t pass_k = shape.PassK(op.k);
  OuterSums outer;
  for (size_t k = 0; k < op.k; k += pass_k) {
    const size_t count = Min(op.k - k, pass_k);
    for (size_t row = op.row_begin; row < op.row_end; row += shape.Tile()) {
      uint8_t* const target = factors.At(k, count, row);
      const uint8_t* const a = op.a + row * op.a_stride + k;
      ForgetSaturation();
      if (shape.levels == 1) {
        MakeFactorsOfTile<true>(a, op.a_stride, count, target);
      } else {
        MakeFactorsOfTwoLevels(a, op.a_stride, count, target, &outer);
      }
      if (HasSaturated()) return false;
    }
  }
  return true;
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_STRASSEN_ROWS_NEON_H_
