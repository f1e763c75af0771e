// A tile of 8 rows by 8 channels of an int8 matrix product with SMMLA or USMMLA, for files built
// with +i8mm.
//
// The instructions multiply two rows of 8 k by two channels of 8 k. The four sums of a register are
// those of a row beside those of the next one.

#ifndef PQV_KERNELS_COMMON_TILE_I8MM_H_
#define PQV_KERNELS_COMMON_TILE_I8MM_H_

#include "kernels/common/tile_neon.h"

namespace pqv {
namespace arm64 {

// A panel whose steps of 8 k are 4 pairs of channels, one channel after the other.
struct PairForm {
  static PQV_INLINE void Store(const Group8* groups, uint8_t* target) {
#pragma GCC unroll 2
    for (size_t g = 0; g < kBlockGroups; g += 2, target += kPanelBlockBytes / 2) {
      StoreBytes(target, Zip1x32(groups[g].low, groups[g + 1].low));
      StoreBytes(target + 16, Zip2x32(groups[g].low, groups[g + 1].low));
      StoreBytes(target + 32, Zip1x32(groups[g].high, groups[g + 1].high));
      StoreBytes(target + 48, Zip2x32(groups[g].high, groups[g + 1].high));
    }
  }
};

// Packed rows are like a panel, with pairs of rows. `kRowSign` is that of the rows; channels are
// signed.
template <Sign kRowSign>
struct I8mmTile {
  using Form = PairForm;
  static constexpr size_t kRows = 8;
  static constexpr size_t kPairs = 4;       // of channels
  static constexpr size_t kStepBytes = 64;  // 8 k of 8 rows or channels

  static constexpr size_t RowsBytes(size_t k) { return k * kRows; }

  // Rows beyond the last are copies of it.
  static PQV_INLINE bool PackRows(const uint8_t* a, size_t stride, size_t rows, size_t k,
                                  uint8_t* packed) {
    const uint8_t* row[kRows];
    for (size_t r = 0; r < kRows; ++r) row[r] = a + Min(r, rows - 1) * stride;
    size_t i = 0;
    for (; i + kBlockK <= k; i += kBlockK, packed += 2 * kStepBytes) PackBlock(row, i, k, packed);
    if (i < k) PackBlock(row, i, k, packed);
    return false;
  }

  // The sums of pairs of rows by pairs of channels.
  template <size_t kCount>
  class Accumulator {
   public:
    PQV_INLINE void Begin(const Sums<kCount>& sums) {
#pragma GCC unroll 4
      for (size_t p = 0; p < kRowPairs; ++p) {
        const int32x4_t* even = sums.row[2 * p];
        const int32x4_t* odd = sums.row[2 * p + 1 < kCount ? 2 * p + 1 : 2 * p];
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; ++v) {
          sums_[p][2 * v] = Zip1(even[v], odd[v]);
          sums_[p][2 * v + 1] = Zip2(even[v], odd[v]);
        }
      }
    }

    PQV_INLINE void End(Sums<kCount>* sums) const {
#pragma GCC unroll 4
      for (size_t p = 0; p < kRowPairs; ++p) {
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; ++v) {
          sums->row[2 * p][v] = Zip1(sums_[p][2 * v], sums_[p][2 * v + 1]);
          if (2 * p + 1 < kCount) {
            sums->row[2 * p + 1][v] = Zip2(sums_[p][2 * v], sums_[p][2 * v + 1]);
          }
        }
      }
    }

    // What is left of the last 8 k is padded with zeros.
    template <typename PanelForm>
    PQV_INLINE void Add(const uint8_t* rows, bool, const uint8_t* panel, size_t groups) {
      const size_t steps = CeilDivide(groups, 2);
      for (size_t pairs = steps / 2; pairs != 0; --pairs) {
        AddStep(&rows, &panel);
        AddStep(&rows, &panel);
      }
      if (steps % 2 != 0) AddStep(&rows, &panel);
    }

   private:
    static constexpr size_t kRowPairs = (kCount + 1) / 2;

    PQV_INLINE void AddStep(const uint8_t** rows, const uint8_t** panel) {
      const int8x16x4_t a = LoadNext64(rows);
      const int8x16x4_t w = LoadNext64(panel);
#pragma GCC unroll 4
      for (size_t p = 0; p < kRowPairs; ++p) {
#pragma GCC unroll 4
        for (size_t q = 0; q < kPairs; ++q) sums_[p][q] = Dot(sums_[p][q], a.val[p], w.val[q]);
      }
    }

    int32x4_t sums_[kRowPairs][kPairs];
  };

 private:
  static PQV_INLINE int32x4_t Dot(int32x4_t sum, int8x16_t a, int8x16_t w) {
    if constexpr (kRowSign == Sign::kUnsigned) {
      return vusmmlaq_s32(sum, vreinterpretq_u8_s8(a), w);
    }
    return vmmlaq_s32(sum, a, w);
  }

  static PQV_INLINE int32x4_t Zip1(int32x4_t a, int32x4_t b) {
    return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
  }

  static PQV_INLINE int32x4_t Zip2(int32x4_t a, int32x4_t b) {
    return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
  }

  static PQV_INLINE void PackBlock(const uint8_t* const* row, size_t i, size_t k, uint8_t* target) {
#pragma GCC unroll 4
    for (size_t p = 0; p < kRows / 2; ++p) {
      const int8x16_t even = LoadBlock(row[2 * p], i, k);
      const int8x16_t odd = LoadBlock(row[2 * p + 1], i, k);
      StoreBytes(target + 16 * p, Zip1x64(even, odd));
      StoreBytes(target + 16 * p + kStepBytes, Zip2x64(even, odd));
    }
  }
};

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_TILE_I8MM_H_
