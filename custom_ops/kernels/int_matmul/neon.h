// What the arm64 kernels of IntMatMul share: the rows of B as panels.

#ifndef PQV_KERNELS_INT_MATMUL_NEON_H_
#define PQV_KERNELS_INT_MATMUL_NEON_H_

#include "kernels/common/saturation_neon.h"
#include "kernels/gemm/tile_neon.h"
#include "kernels/int_matmul/int_matmul.h"

namespace pqv {
namespace arm64 {

template <typename TileForm>
struct RowPanels {
  using Form = TileForm;
  const IntMatMul& op;

  PQV_INLINE PanelBlock Make(size_t n, size_t k, size_t channels, size_t count,
                             uint8_t* scratch) const {
    const size_t stride = Form::Stride(count);
    for (size_t c = 0; c < channels; c += kPanelChannels) {
      const int8_t* row[kPanelChannels];
      for (size_t i = 0; i < kPanelChannels; ++i) {
        row[i] = op.b + Min(n + c + i, op.n - 1) * op.b_stride + k;
      }
      uint8_t* target = scratch + c / kPanelChannels * stride;
      size_t i = 0;
      for (; i + kBlockK <= count; i += kBlockK, target += Form::kBlockBytes) {
        MakeBlock(row, i, count, target);
      }
      if (i < count) MakeBlock(row, i, count, target);
    }
    return {scratch, stride};
  }

 private:
  static PQV_INLINE void MakeBlock(const int8_t* const* row, size_t i, size_t count,
                                   uint8_t* target) {
    int8x16_t x[kPanelChannels];
#pragma GCC unroll 8
    for (size_t c = 0; c < kPanelChannels; ++c) x[c] = LoadBlock(row[c], i, count);
    TransposeGroups(x);
    TransposeGroups(x + 4);
    const Group8 groups[kBlockGroups] = {{x[0], x[4]}, {x[1], x[5]}, {x[2], x[6]}, {x[3], x[7]}};
    Form::Store(groups, target);
  }
};

// Of int32, or of int16 and then in whole steps of 8. Code for both at once, which takes less room.
class ToLogits {
 public:
  PQV_INLINE ToLogits(void* y, size_t logit_bytes, size_t stride)
      : y_(static_cast<uint8_t*>(y)), logit_bytes_(logit_bytes), stride_(stride) {}

  template <size_t kRows>
  class Rows {
   public:
    PQV_INLINE Rows(const ToLogits& to, size_t row, size_t n)
        : is_narrow_(to.logit_bytes_ == sizeof(int16_t)), stride_(to.stride_) {
      const size_t row_bytes = to.stride_ * to.logit_bytes_;
      y_[0] = to.y_ + row * row_bytes + n * to.logit_bytes_;
#pragma GCC unroll 8
      for (size_t r = 1; r < kRows; ++r) y_[r] = y_[r - 1] + row_bytes;
    }

    PQV_INLINE void Next() {}

    PQV_INLINE void Begin(Sums<kRows>* sums) const {
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) sums->row[r][0] = sums->row[r][1] = vdupq_n_s32(0);
    }

    template <typename TileSums>
    PQV_INLINE void End(const TileSums& tile_sums, size_t count) {
      // One branch, which compilers cannot see through: they would make the loop around it twice.
      __asm__ goto("cbnz %0, %l[narrow]" : : "r"(is_narrow_) : : narrow);
      StoreWide(InRows(tile_sums), count);
      return;
    narrow:
      int16x8_t u[kRows];
      LowerHalvesOf(tile_sums, u);
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        __asm__ volatile("str %q1, [%0], #16" : "+&r"(y_[r]) : "w"(u[r]) : "memory");
      }
    }

   private:
    PQV_INLINE void StoreWide(const Sums<kRows>& sums, size_t count) {
      if (count < kPanelChannels) {
        return StoreRows(sums, count, reinterpret_cast<int32_t*>(y_[0]), stride_);
      }
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        int32_t* next = reinterpret_cast<int32_t*>(y_[r]);
        StoreNextPair(&next, sums.row[r][0], sums.row[r][1]);
        y_[r] = reinterpret_cast<uint8_t*>(next);
      }
    }

    uint8_t* y_[kRows];  // where the next 8 logits of a row belong
    size_t is_narrow_;
    size_t stride_;
  };

 private:
  uint8_t* const y_;
  const size_t logit_bytes_;
  const size_t stride_;
};

static PQV_INLINE Product MakeProduct(const IntMatMul& op) {
  return {0, op.m, 0, op.n, op.k, reinterpret_cast<const uint8_t*>(op.a), op.a_stride};
}

template <typename Tile>
static void RunIntMatMulWith(const IntMatMul& op) {
  RunProduct<Tile>(MakeProduct(op), RowPanels<typename Tile::Form>{op},
                   ToLogits(op.y, sizeof(int32_t), op.y_stride));
}

template <typename Tile>
static bool RunNarrowIntMatMulWith(const IntMatMul& op, int16_t* y) {
  if (!AreInt4(op.a, op.m, op.a_stride, op.k) || !AreInt4(op.b, op.n, op.b_stride, op.k)) {
    return false;
  }
  RunProduct<Tile>(MakeProduct(op), RowPanels<typename Tile::Form>{op},
                   ToLogits(y, sizeof(int16_t), op.y_stride));
  return true;
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_INT_MATMUL_NEON_H_
