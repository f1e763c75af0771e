// A tile of 8 rows by 8 channels of an int8 matrix product with SMMLA or USMMLA, for files built
// with +i8mm.
//
// The instructions multiply two rows of 8 k by two channels of 8 k. The four sums of a register are
// those of a row beside those of the next one.

#ifndef PQV_KERNELS_GEMM_TILE_I8MM_H_
#define PQV_KERNELS_GEMM_TILE_I8MM_H_

#include "kernels/gemm/strassen.h"
#include "kernels/gemm/tile_neon.h"

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

// Packed rows: for each 16 k, rows 0 .. 3 and then rows 4 .. 7, each as two steps of 8 k of two
// pairs of rows. `kRowSign` is the sign of rows; channels are signed.
template <Sign kRowSign>
struct I8mmTile {
  using Form = PairForm;
  static constexpr size_t kRows = 8;
  static constexpr size_t kLowerRowsBytes = 0;  // all rows at once
  static constexpr size_t kPairs = 4;           // of channels
  // Its sums take about as many instructions as the products that are saved.
  static constexpr StrassenTile kStrassen = {};

  static constexpr size_t RowsBytes(size_t k) { return k * kRows; }

  static PQV_INLINE bool PackRows(const uint8_t* a, size_t stride, size_t rows, size_t k,
                                  uint8_t* packed) {
    const auto store = [](int8x16_t a, int8x16_t b, int8x16_t c, int8x16_t d,
                          uint8_t* target) __attribute__((always_inline)) {
      const int64x2x4_t y = {{vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b),
                              vreinterpretq_s64_s8(c), vreinterpretq_s64_s8(d)}};
      vst4q_s64(reinterpret_cast<int64_t*>(target), y);
    };
    for (size_t first = 0; first < rows; first += kHalfRows) {
      PackHalf(a, stride, rows, first, k, packed, store);
    }
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
#pragma GCC unroll 4
      for (size_t pairs = steps / 2; pairs != 0; --pairs) {
        KeepOrder();
        int8x16x4_t a[2];
        a[0] = LoadNext64(&rows);
        if constexpr (kCount > kHalfRows) {
          a[1] = LoadNext64(&rows);
        } else {
          rows += kHalfBytes;
        }
        AddStep<0>(a, &panel);
        AddStep<1>(a, &panel);
      }
      if (steps % 2 == 0) return;
      int8x16x4_t a[2];
      a[0] = vld1q_s8_x4(reinterpret_cast<const int8_t*>(rows));
      if constexpr (kCount > kHalfRows) {
        a[1] = vld1q_s8_x4(reinterpret_cast<const int8_t*>(rows + kHalfBytes));
      }
      AddStep<0>(a, &panel);
    }

   private:
    static constexpr size_t kRowPairs = (kCount + 1) / 2;

    template <size_t kStep>
    PQV_INLINE void AddStep(const int8x16x4_t* a, const uint8_t** panel) {
      const int8x16x4_t w = LoadNext64(panel);
#pragma GCC unroll 4
      for (size_t p = 0; p < kRowPairs; ++p) {
        KeepOrder();
        const int8x16_t x = a[p / 2].val[2 * kStep + p % 2];
#pragma GCC unroll 4
        for (size_t q = 0; q < kPairs; ++q) sums_[p][q] = Dot(sums_[p][q], x, w.val[q]);
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
};

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_I8MM_H_
