// A tile of 4 or 8 rows by 8 channels of an int8 matrix product with the multiplications of
// ARMv8.0.
//
// Products are summed as narrow as they fit: how often sums must be widened depends on the values.

#ifndef PQV_KERNELS_GEMM_TILE_ARMV8_H_
#define PQV_KERNELS_GEMM_TILE_ARMV8_H_

#include "kernels/gemm/strassen.h"
#include "kernels/gemm/tile_neon.h"

namespace pqv {
namespace arm64 {

// The values of a panel.
enum class PanelRange {
  kInt4,         // [-7, 7]
  kAnyInt4,      // [-8, 7]
  kInt8,         // [-127, 127]
  kAnyInt8,      // [-128, 127]
  kNegatedInt4,  // [-7, 8], those of kAnyInt4 negated, and rows are in [-8, 7]
  kUint4,        // [0, 15], and rows are unsigned
  kUint8,        // [0, 255], and rows are unsigned
};

// Two products of [-8, 7] by [-8, 7] are 128 at most, those by [-7, 8] -128 at least: a byte.
struct NegatedForm : GroupForm<8> {
  static PQV_INLINE void Store(const Group8* groups, uint8_t* target) {
    Group8 negated[kBlockGroups];
#pragma GCC unroll 4
    for (size_t g = 0; g < kBlockGroups; ++g) {
      negated[g] = {vnegq_s8(groups[g].low), vnegq_s8(groups[g].high)};
    }
    GroupForm<8>::Store(negated, target);
  }
};

template <PanelRange kRange>
struct FormFor {
  using Type = GroupForm<8>;
};
template <>
struct FormFor<PanelRange::kNegatedInt4> {
  using Type = NegatedForm;
};

// Packed rows: for each 16 k, of each row, a vector for each group, four times the same 4 k.
template <PanelRange kRange,
          size_t kMaxRows =
              kRange == PanelRange::kInt4 || kRange == PanelRange::kNegatedInt4 ? 8 : 4>
struct Armv8Tile {
  using Form = typename FormFor<kRange>::Type;
  static constexpr size_t kRows = kMaxRows;
  // Two products of sums do not fit in a byte.
  static constexpr StrassenTile kStrassen = {};
  static constexpr bool kIsUnsigned = kRange == PanelRange::kUint4 || kRange == PanelRange::kUint8;
  static constexpr size_t kRowBlockBytes = kBlockGroups * 16;
  static constexpr size_t kBlockBytes = kRows * kRowBlockBytes;
  static constexpr size_t kLowerRowsBytes = kHalfRows * kRowBlockBytes;

  // Products that 16 bits hold the sum of.
  static constexpr size_t kMaxTerms = kRange == PanelRange::kInt4      ? 32767 / (7 * 128)
                                      : kRange == PanelRange::kAnyInt4 ? 32767 / (8 * 128)
                                      : kRange == PanelRange::kInt8    ? 32767 / (127 * 128)
                                      : kRange == PanelRange::kUint4   ? 65535 / (15 * 255)
                                                                       : 1;

  static constexpr size_t RowsBytes(size_t k) { return k / kBlockK * kBlockBytes; }

  // Returns whether all values are in [-8, 7], if that is of use.
  static PQV_INLINE bool PackRows(const uint8_t* a, size_t stride, size_t rows, size_t k,
                                  uint8_t* packed) {
    uint8x16_t seen = vdupq_n_u8(0);
    for (size_t r = 0; r < rows; ++r, a += stride) {
      uint8_t* target = packed + r * kRowBlockBytes;
      size_t i = 0;
      for (; i + kBlockK <= k; i += kBlockK, target += kBlockBytes) {
        PackBlock(a + i, target, &seen);
      }
      if (i == k) continue;
      uint8_t tail[kBlockK];
      StoreBytes(tail, LoadBlock(a, i, k));
      PackBlock(tail, target, &seen);
    }
    if constexpr (kRange == PanelRange::kNegatedInt4) return true;
    return kRange == PanelRange::kInt4 && vmaxvq_u8(seen) < 16;
  }

  template <size_t kCount>
  class Accumulator {
   public:
    PQV_INLINE void Begin(const Sums<kCount>& sums) { sums_ = Signed(sums); }

    PQV_INLINE Sums<kCount> End() const { return Signed(sums_); }

    template <typename PanelForm>
    PQV_INLINE void Add(const uint8_t* rows, bool is_narrow, const uint8_t* panel, size_t groups) {
      if constexpr (kRange == PanelRange::kNegatedInt4) {
        return AddNarrow<PanelForm>(rows, panel, groups);
      }
      if constexpr (kRange == PanelRange::kInt4) {
        if (is_narrow) return AddNarrow<PanelForm>(rows, panel, groups);
      }
      AddHalf<PanelForm, 0>(rows, panel, groups);
      if constexpr (kCount > kHalfRows) AddHalf<PanelForm, kHalfRows>(rows, panel, groups);
    }

   private:
    // Negative sums for a negated panel.
    static PQV_INLINE Sums<kCount> Signed(Sums<kCount> sums) {
      if constexpr (kRange != PanelRange::kNegatedInt4) return sums;
#pragma GCC unroll 8
      for (size_t r = 0; r < kCount; ++r) {
        sums.row[r][0] = vnegq_s32(sums.row[r][0]);
        sums.row[r][1] = vnegq_s32(sums.row[r][1]);
      }
      return sums;
    }

    // Sums of two products of a channel side by side: those of channels 2 i and 2 i + 1.
    template <size_t kHalfCount>
    struct WideSums {
      int32x4_t row[kHalfCount][4];
    };

    // As many rows as registers hold wide sums of, from kFirst on.
    template <typename PanelForm, size_t kFirst>
    PQV_INLINE void AddHalf(const uint8_t* rows, const uint8_t* panel, size_t groups) {
      constexpr size_t kHalfCount = kCount - kFirst < kHalfRows ? kCount - kFirst : kHalfRows;
      const int32x4_t zero = vdupq_n_s32(0);
      WideSums<kHalfCount> wide;
#pragma GCC unroll 4
      for (size_t r = 0; r < kHalfCount; ++r) {
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; ++v) {
          wide.row[r][2 * v] = vzip1q_s32(sums_.row[kFirst + r][v], zero);
          wide.row[r][2 * v + 1] = vzip2q_s32(sums_.row[kFirst + r][v], zero);
        }
      }
      AddWide<PanelForm>(rows + kFirst * kRowBlockBytes, panel, groups, &wide);
#pragma GCC unroll 4
      for (size_t r = 0; r < kHalfCount; ++r) {
        sums_.row[kFirst + r][0] = vpaddq_s32(wide.row[r][0], wide.row[r][1]);
        sums_.row[kFirst + r][1] = vpaddq_s32(wide.row[r][2], wide.row[r][3]);
      }
    }

    template <typename PanelForm, size_t kHalfCount>
    static PQV_INLINE void AddWide(const uint8_t* rows, const uint8_t* panel, size_t groups,
                                   WideSums<kHalfCount>* wide) {
      size_t blocks = groups / kBlockGroups;
      const size_t left = groups % kBlockGroups;
      if constexpr (kMaxTerms < kBlockGroups) {
        for (; blocks != 0; --blocks, rows += kBlockBytes) {
          AddFew<PanelForm, kBlockGroups>(rows, panel, wide);
          panel += kBlockGroups * PanelForm::kGroupBytes;
        }
        for (size_t g = 0; g < left; ++g) {
          AddFew<PanelForm, 1>(rows + g * 16, panel + g * PanelForm::kGroupBytes, wide);
        }
        return;
      }
      constexpr size_t kMaxBlocks = kMaxTerms / kBlockGroups;
      bool has_left = left != 0;
      while (blocks != 0 || has_left) {
        int16x8_t sums[kHalfCount][4];
#pragma GCC unroll 4
        for (size_t r = 0; r < kHalfCount; ++r) {
          sums[r][0] = sums[r][1] = sums[r][2] = sums[r][3] = vdupq_n_s16(0);
        }
        const size_t count = Min(blocks, kMaxBlocks);
        blocks -= count;
        for (size_t block = 0; block < count; ++block, rows += kBlockBytes) {
#pragma GCC unroll 2
          for (size_t g = 0; g < kBlockGroups; g += 2, panel += 2 * PanelForm::kGroupBytes) {
            AddShort<PanelForm, 2>(rows + g * 16, panel, sums);
          }
        }
        if (count < kMaxBlocks) {
          for (size_t g = 0; g < left; ++g) {
            AddShort<PanelForm, 1>(rows + g * 16, panel + g * PanelForm::kGroupBytes, sums);
          }
          has_left = false;
        }
#pragma GCC unroll 4
        for (size_t r = 0; r < kHalfCount; ++r) {
#pragma GCC unroll 4
          for (size_t i = 0; i < 4; ++i) wide->row[r][i] = Widen(wide->row[r][i], sums[r][i]);
        }
      }
    }

    // Adds the products of one group or two to sums of 16 bits.
    template <typename PanelForm, size_t kGroups, size_t kHalfCount>
    static PQV_INLINE void AddShort(const uint8_t* rows, const uint8_t* panel,
                                    int16x8_t (&sums)[kHalfCount][4]) {
      Group8 w[kGroups];
#pragma GCC unroll 2
      for (size_t g = 0; g < kGroups; ++g)
        w[g] = PanelForm::Load(panel + g * PanelForm::kGroupBytes);
#pragma GCC unroll 4
      for (size_t r = 0; r < kHalfCount; ++r) {
        KeepOrder();
        int8x16_t a[kGroups];
#pragma GCC unroll 2
        for (size_t g = 0; g < kGroups; ++g) a[g] = LoadBytes(rows + r * kRowBlockBytes + g * 16);
#pragma GCC unroll 2
        for (size_t g = 0; g < kGroups; ++g) {
          sums[r][0] = MulLow(sums[r][0], w[g].low, a[g]);
          sums[r][1] = MulHigh(sums[r][1], w[g].low, a[g]);
          sums[r][2] = MulLow(sums[r][2], w[g].high, a[g]);
          sums[r][3] = MulHigh(sums[r][3], w[g].high, a[g]);
        }
      }
    }

    // Adds those of kGroups groups, kMaxTerms at a time, to sums of 32 bits.
    template <typename PanelForm, size_t kGroups, size_t kHalfCount>
    static PQV_INLINE void AddFew(const uint8_t* rows, const uint8_t* panel,
                                  WideSums<kHalfCount>* wide) {
#pragma GCC unroll 4
      for (size_t g = 0; g < kGroups; g += kMaxTerms) {
        const bool has_next = kMaxTerms == 2 && g + 1 < kGroups;
        const size_t next = has_next ? g + 1 : g;
        const Group8 w[2] = {PanelForm::Load(panel + g * PanelForm::kGroupBytes),
                             PanelForm::Load(panel + next * PanelForm::kGroupBytes)};
#pragma GCC unroll 4
        for (size_t r = 0; r < kHalfCount; ++r) {
          KeepOrder();
          const int8x16_t a[2] = {LoadBytes(rows + r * kRowBlockBytes + g * 16),
                                  LoadBytes(rows + r * kRowBlockBytes + next * 16)};
          int16x8_t sums[4] = {MulLow(w[0].low, a[0]), MulHigh(w[0].low, a[0]),
                               MulLow(w[0].high, a[0]), MulHigh(w[0].high, a[0])};
          if (has_next) {
            sums[0] = MulLow(sums[0], w[1].low, a[1]);
            sums[1] = MulHigh(sums[1], w[1].low, a[1]);
            sums[2] = MulLow(sums[2], w[1].high, a[1]);
            sums[3] = MulHigh(sums[3], w[1].high, a[1]);
          }
#pragma GCC unroll 4
          for (size_t i = 0; i < 4; ++i) wide->row[r][i] = Widen(wide->row[r][i], sums[i]);
        }
      }
    }

    static PQV_INLINE int16x8_t MulLow(int8x16_t w, int8x16_t a) {
      if constexpr (kIsUnsigned) {
        return vreinterpretq_s16_u16(
            vmull_u8(vget_low_u8(vreinterpretq_u8_s8(w)), vget_low_u8(vreinterpretq_u8_s8(a))));
      }
      return vmull_s8(vget_low_s8(w), vget_low_s8(a));
    }

    static PQV_INLINE int16x8_t MulHigh(int8x16_t w, int8x16_t a) {
      if constexpr (kIsUnsigned) {
        return vreinterpretq_s16_u16(vmull_high_u8(vreinterpretq_u8_s8(w), vreinterpretq_u8_s8(a)));
      }
      return vmull_high_s8(w, a);
    }

    static PQV_INLINE int16x8_t MulLow(int16x8_t sum, int8x16_t w, int8x16_t a) {
      if constexpr (kIsUnsigned) {
        return vreinterpretq_s16_u16(vmlal_u8(vreinterpretq_u16_s16(sum),
                                              vget_low_u8(vreinterpretq_u8_s8(w)),
                                              vget_low_u8(vreinterpretq_u8_s8(a))));
      }
      return vmlal_s8(sum, vget_low_s8(w), vget_low_s8(a));
    }

    static PQV_INLINE int16x8_t MulHigh(int16x8_t sum, int8x16_t w, int8x16_t a) {
      if constexpr (kIsUnsigned) {
        return vreinterpretq_s16_u16(vmlal_high_u8(vreinterpretq_u16_s16(sum),
                                                   vreinterpretq_u8_s8(w), vreinterpretq_u8_s8(a)));
      }
      return vmlal_high_s8(sum, w, a);
    }

    static PQV_INLINE int32x4_t Widen(int32x4_t sum, int16x8_t x) {
      if constexpr (kIsUnsigned) {
        return vreinterpretq_s32_u32(
            vpadalq_u16(vreinterpretq_u32_s32(sum), vreinterpretq_u16_s16(x)));
      }
      return vpadalq_s16(sum, x);
    }

    // int4 times int4: int8 holds 2 products, int16 those of a whole pass.
    template <typename PanelForm>
    PQV_INLINE void AddNarrow(const uint8_t* rows, const uint8_t* panel, size_t groups) {
      static_assert(kMaxPassK / 2 * (8 * 8) <= 32768, "each int16 sums half of the products");
      int16x8_t sums[kCount][2];
#pragma GCC unroll 8
      for (size_t r = 0; r < kCount; ++r) sums[r][0] = sums[r][1] = vdupq_n_s16(0);
      for (size_t blocks = groups / kBlockGroups; blocks != 0; --blocks, rows += kBlockBytes) {
#pragma GCC unroll 2
        for (size_t g = 0; g < kBlockGroups; g += 2, panel += 2 * PanelForm::kGroupBytes) {
          AddBytes<PanelForm, 2>(rows + g * 16, panel, sums);
        }
      }
      for (size_t g = 0; g < groups % kBlockGroups; ++g) {
        AddBytes<PanelForm, 1>(rows + g * 16, panel + g * PanelForm::kGroupBytes, sums);
      }
#pragma GCC unroll 8
      for (size_t r = 0; r < kCount; ++r) {
        sums_.row[r][0] = vpadalq_s16(sums_.row[r][0], sums[r][0]);
        sums_.row[r][1] = vpadalq_s16(sums_.row[r][1], sums[r][1]);
      }
    }

    template <typename PanelForm, size_t kGroups>
    static PQV_INLINE void AddBytes(const uint8_t* rows, const uint8_t* panel,
                                    int16x8_t (&sums)[kCount][2]) {
      const Group8 w = PanelForm::Load(panel);
      const Group8 next = PanelForm::Load(panel + (kGroups - 1) * PanelForm::kGroupBytes);
#pragma GCC unroll 8
      for (size_t r = 0; r < kCount; ++r) {
        KeepOrder();
        const int8x16_t a = LoadBytes(rows + r * kRowBlockBytes);
        const int8x16_t a_next = LoadBytes(rows + r * kRowBlockBytes + (kGroups - 1) * 16);
        int8x16_t low = vmulq_s8(w.low, a);
        int8x16_t high = vmulq_s8(w.high, a);
        if constexpr (kGroups == 2) {
          low = vmlaq_s8(low, next.low, a_next);
          high = vmlaq_s8(high, next.high, a_next);
        }
        sums[r][0] = vpadalq_s8(sums[r][0], low);
        sums[r][1] = vpadalq_s8(sums[r][1], high);
      }
    }

    Sums<kCount> sums_;
  };

 private:
  static PQV_INLINE void PackBlock(const uint8_t* a, uint8_t* target, uint8x16_t* seen) {
    vst1q_s32_x4(reinterpret_cast<int32_t*>(target),
                 vld4q_dup_s32(reinterpret_cast<const int32_t*>(a)));
    if constexpr (kRange == PanelRange::kInt4) {
      *seen = vorrq_u8(*seen, vaddq_u8(vld1q_u8(a), vdupq_n_u8(8)));
    }
  }
};

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_ARMV8_H_
