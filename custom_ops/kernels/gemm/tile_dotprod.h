// A tile of 8 rows by 8 channels of an int8 matrix product with SDOT or UDOT, for files built with
// +dotprod.

#ifndef PQV_KERNELS_GEMM_TILE_DOTPROD_H_
#define PQV_KERNELS_GEMM_TILE_DOTPROD_H_

#include "kernels/gemm/strassen.h"
#include "kernels/gemm/strassen_dotprod.h"
#include "kernels/gemm/tile_neon.h"

namespace pqv {
namespace arm64 {

template <Sign kSign>
static PQV_INLINE int32x4_t DotLane(int32x4_t sum, int8x16_t w, int8x16_t a, size_t lane) {
  if constexpr (kSign == Sign::kUnsigned) {
    const uint32x4_t s = vreinterpretq_u32_s32(sum);
    const uint8x16_t x = vreinterpretq_u8_s8(w);
    const uint8x16_t y = vreinterpretq_u8_s8(a);
    switch (lane) {
      case 0:
        return vreinterpretq_s32_u32(vdotq_laneq_u32(s, x, y, 0));
      case 1:
        return vreinterpretq_s32_u32(vdotq_laneq_u32(s, x, y, 1));
      case 2:
        return vreinterpretq_s32_u32(vdotq_laneq_u32(s, x, y, 2));
      default:
        return vreinterpretq_s32_u32(vdotq_laneq_u32(s, x, y, 3));
    }
  }
  switch (lane) {
    case 0:
      return vdotq_laneq_s32(sum, w, a, 0);
    case 1:
      return vdotq_laneq_s32(sum, w, a, 1);
    case 2:
      return vdotq_laneq_s32(sum, w, a, 2);
    default:
      return vdotq_laneq_s32(sum, w, a, 3);
  }
}

// Packed rows: for each 16 k, the 4 groups of rows 0 .. 3 and then those of rows 4 .. 7; a group is
// a vector, 4 k of each row in a lane.
template <Sign kSign, size_t kMaxRows = 8>
struct DotprodTile {
  using Form = GroupForm<8>;
  static constexpr size_t kRows = kMaxRows;
  static constexpr size_t kLowerRowsBytes = 0;  // all rows at once
  // Of two levels by the time of a model (Neoverse N1): saved sums take longer than instructions
  // tell.
  static constexpr StrassenTile kStrassen = {
      kRows, kPanelChannels, kBlockK, 16, {{48, 2, 2}, {206, 10, 6}}};
  static constexpr size_t kMaxStrassenBlocks = arm64::kMaxStrassenBlocks;

  static constexpr size_t RowsBytes(size_t k) { return 2 * k * kHalfRows; }

  static PQV_INLINE bool PackRows(const uint8_t* a, size_t stride, size_t rows, size_t k,
                                  uint8_t* packed) {
    const auto store = [](int8x16_t a, int8x16_t b, int8x16_t c, int8x16_t d,
                          uint8_t* target) PQV_LAMBDA {
      const int32x4x4_t y = {{vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b),
                              vreinterpretq_s32_s8(c), vreinterpretq_s32_s8(d)}};
      vst4q_s32(reinterpret_cast<int32_t*>(target), y);
    };
    PackHalves(a, stride, rows, k, packed, store);
    return false;
  }

  static PQV_INLINE void StrassenProducts(const uint8_t* rows, const uint8_t* panel, size_t blocks,
                                          const int32_t* bias, const StrassenSums* initial,
                                          const StrassenEnds& ends, StrassenSums* sums) {
    static_assert(kSign == Sign::kSigned && kRows == 8, "what it is written for");
    arm64::StrassenProducts(rows, panel, blocks, bias, initial, ends, sums);
  }

  template <size_t kCount>
  class Accumulator {
   public:
    PQV_INLINE void Begin(const Sums<kCount>& sums) { sums_ = sums; }

    PQV_INLINE const Sums<kCount>& End() const { return sums_; }

    template <typename PanelForm>
    PQV_INLINE void Add(const uint8_t* rows, bool, const uint8_t* panel, size_t groups) {
#pragma GCC unroll 2
      for (size_t blocks = groups / kBlockGroups; blocks != 0; --blocks) {
        AddBlock<PanelForm>(&rows, &panel);
      }
      groups %= kBlockGroups;
      for (; groups > 0; --groups) {
        const Group8 w = PanelForm::Load(panel);
#pragma GCC unroll 8
        for (size_t r = 0; r < kCount; ++r) {
          const int8x16_t a = LoadBytes(rows + r / kHalfRows * kHalfBytes);
          sums_.row[r][0] = DotLane<kSign>(sums_.row[r][0], w.low, a, r % 4);
          sums_.row[r][1] = DotLane<kSign>(sums_.row[r][1], w.high, a, r % 4);
        }
        rows += 16;
        panel += PanelForm::kGroupBytes;
      }
    }

   private:
    template <typename PanelForm>
    PQV_INLINE void AddBlock(const uint8_t** rows, const uint8_t** panel) {
      KeepOrder();
      int8x16x4_t a[2];
      a[0] = LoadNext64(rows);
      if constexpr (kCount > kHalfRows) {
        a[1] = LoadNext64(rows);
      } else {
        *rows += kHalfBytes;
      }
#pragma GCC unroll 2
      for (size_t g = 0; g < kBlockGroups; g += 2) {
        Group8 w[2];
        PanelForm::LoadNextTwo(panel, w);
#pragma GCC unroll 2
        for (size_t i = 0; i < 2; ++i) {
#pragma GCC unroll 8
          for (size_t r = 0; r < kCount; ++r) {
            const int8x16_t x = a[r / kHalfRows].val[g + i];
            sums_.row[r][0] = DotLane<kSign>(sums_.row[r][0], w[i].low, x, r % kHalfRows);
            sums_.row[r][1] = DotLane<kSign>(sums_.row[r][1], w[i].high, x, r % kHalfRows);
          }
        }
      }
    }

    Sums<kCount> sums_;
  };
};

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_DOTPROD_H_
