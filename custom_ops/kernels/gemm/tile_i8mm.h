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
struct PairForm : PanelsApart {
  template <typename Group>
  static PQV_INLINE void Store(const Group* groups, uint8_t* target) {
#pragma GCC unroll 2
    for (size_t g = 0; g < kBlockGroups; g += 2, target += kBlockBytes / 2) {
      const Group first = Zip1x32(groups[g], groups[g + 1]);
      const Group second = Zip2x32(groups[g], groups[g + 1]);
      StoreBytes(target, Low(first));
      StoreBytes(target + 16, Low(second));
      StoreBytes(target + 32, High(first));
      StoreBytes(target + 48, High(second));
    }
  }
};

static PQV_INLINE int32x4_t Zip1x64(int32x4_t a, int32x4_t b) {
  return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

static PQV_INLINE int32x4_t Zip2x64(int32x4_t a, int32x4_t b) {
  return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

// Sums as SMMLA has them: two channels of a row beside those of the next row, which is not there
// behind an odd number of rows.
template <size_t kRows>
struct PairSums {
  static constexpr size_t kPairs = (kRows + 1) / 2;  // of rows
  int32x4_t pair[kPairs][kPanelChannels / 2];
};

template <size_t kRows>
static PQV_INLINE Sums<kRows> InRows(const PairSums<kRows>& sums) {
  Sums<kRows> rows;
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
    const int32x4_t* x = sums.pair[r / 2];
#pragma GCC unroll 2
    for (size_t v = 0; v < 2; ++v) {
      rows.row[r][v] =
          r % 2 == 0 ? Zip1x64(x[2 * v], x[2 * v + 1]) : Zip2x64(x[2 * v], x[2 * v + 1]);
    }
  }
  return rows;
}

// Halves of four pairs of channels as rows.
template <size_t kRows>
static PQV_INLINE void SplitPairs(size_t p, int16x8_t low, int16x8_t high, int16x8_t (&u)[kRows]) {
  const int32x4_t a = vreinterpretq_s32_s16(low);
  const int32x4_t b = vreinterpretq_s32_s16(high);
  u[2 * p] = vreinterpretq_s16_s32(vuzp1q_s32(a, b));
  if (2 * p + 1 < kRows) u[2 * p + 1] = vreinterpretq_s16_s32(vuzp2q_s32(a, b));
}

template <size_t kRows>
static PQV_INLINE void UpperHalvesOf(const PairSums<kRows>& sums, const int32_t* shift,
                                     int16x8_t (&u)[kRows]) {
  const int32x4_t low = vld1q_s32(shift);
  const int32x4_t high = vld1q_s32(shift + 4);
  const int32x4_t shifts[] = {Zip1x64(low, low), Zip2x64(low, low), Zip1x64(high, high),
                              Zip2x64(high, high)};
#pragma GCC unroll 4
  for (size_t p = 0; p < PairSums<kRows>::kPairs; ++p) {
    const int32x4_t* x = sums.pair[p];
    SplitPairs(p, UpperHalves(x[0], x[1], shifts[0], shifts[1]),
               UpperHalves(x[2], x[3], shifts[2], shifts[3]), u);
  }
}

template <size_t kRows>
static PQV_INLINE void LowerHalvesOf(const PairSums<kRows>& sums, int16x8_t (&u)[kRows]) {
#pragma GCC unroll 4
  for (size_t p = 0; p < PairSums<kRows>::kPairs; ++p) {
    const int32x4_t* x = sums.pair[p];
    SplitPairs(p, vuzp1q_s16(vreinterpretq_s16_s32(x[0]), vreinterpretq_s16_s32(x[1])),
               vuzp1q_s16(vreinterpretq_s16_s32(x[2]), vreinterpretq_s16_s32(x[3])), u);
  }
}

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
                          uint8_t* target) PQV_LAMBDA {
      const int64x2x4_t y = {{vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b),
                              vreinterpretq_s64_s8(c), vreinterpretq_s64_s8(d)}};
      vst4q_s64(reinterpret_cast<int64_t*>(target), y);
    };
    PackHalves(a, stride, rows, k, packed, store);
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
          sums_.pair[p][2 * v] = Zip1x64(even[v], odd[v]);
          sums_.pair[p][2 * v + 1] = Zip2x64(even[v], odd[v]);
        }
      }
    }

    PQV_INLINE const PairSums<kCount>& End() const { return sums_; }

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
    static constexpr size_t kRowPairs = PairSums<kCount>::kPairs;

    template <size_t kStep>
    PQV_INLINE void AddStep(const int8x16x4_t* a, const uint8_t** panel) {
      const int8x16x4_t w = LoadNext64(panel);
#pragma GCC unroll 4
      for (size_t p = 0; p < kRowPairs; ++p) {
        KeepOrder();
        const int8x16_t x = a[p / 2].val[2 * kStep + p % 2];
#pragma GCC unroll 4
        for (size_t q = 0; q < kPairs; ++q) sums_.pair[p][q] = Dot(sums_.pair[p][q], x, w.val[q]);
      }
    }

    PairSums<kCount> sums_;
  };

 private:
  static PQV_INLINE int32x4_t Dot(int32x4_t sum, int8x16_t a, int8x16_t w) {
    if constexpr (kRowSign == Sign::kUnsigned) {
      return vusmmlaq_s32(sum, vreinterpretq_u8_s8(a), w);
    }
    return vmmlaq_s32(sum, a, w);
  }
};

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_I8MM_H_
