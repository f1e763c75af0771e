// What the arm64 kernels of IntWeightedMean share: the columns of V as panels, and the epilogue.

#ifndef PQV_KERNELS_WEIGHTED_MEAN_NEON_H_
#define PQV_KERNELS_WEIGHTED_MEAN_NEON_H_

#include "kernels/gemm/tile_neon.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace arm64 {

static PQV_INLINE int8x16_t Zip16(int8x8_t a, int8x8_t b) {
  return vcombine_s8(vzip1_s8(a, b), vzip2_s8(a, b));
}

// The values plus kOffset modulo 256: 128 makes them unsigned, 0 leaves them.
template <typename TileForm, int kOffset>
struct ColumnPanels {
  using Form = TileForm;
  const WeightedMean& op;

  PQV_INLINE PanelBlock Make(size_t d, size_t j, size_t columns, size_t count,
                             uint8_t* scratch) const {
    const size_t stride = Form::Stride(count);
    for (size_t c = 0; c < columns; c += kPanelChannels) {
      const size_t valid = Min(columns - c, kPanelChannels);
      const int8_t* v = op.v + j * op.v_stride + d + c;
      const size_t whole = valid == kPanelChannels ? count / kGroupSize : 0;
      const auto load = [&](size_t g) PQV_LAMBDA {
        const int8_t* x = v + g * kGroupSize * op.v_stride;
        if (g >= whole) return LoadPartialGroup(x, count - g * kGroupSize, valid);
        return Interleave(vld1_s8(x), vld1_s8(x + op.v_stride), vld1_s8(x + 2 * op.v_stride),
                          vld1_s8(x + 3 * op.v_stride));
      };
      MakePanel<Form>(CeilDivide(count, kGroupSize), load, scratch + c / kPanelChannels * stride);
    }
    return {scratch, stride};
  }

 private:
  PQV_INLINE Group8 LoadPartialGroup(const int8_t* v, size_t rows, size_t columns) const {
    int8x8_t x[kGroupSize];
    for (size_t i = 0; i < kGroupSize; ++i) {
      const size_t count = i < rows ? columns : 0;
      x[i] = vget_low_s8(vreinterpretq_s8_u8(LoadPartial8(v + i * op.v_stride, count)));
    }
    return Interleave(x[0], x[1], x[2], x[3]);
  }

  static PQV_INLINE Group8 Interleave(int8x8_t a, int8x8_t b, int8x8_t c, int8x8_t d) {
    const int8x16_t offset = vdupq_n_s8(static_cast<int8_t>(kOffset));
    const int16x8_t low = vreinterpretq_s16_s8(vaddq_s8(Zip16(a, b), offset));
    const int16x8_t high = vreinterpretq_s16_s8(vaddq_s8(Zip16(c, d), offset));
    return {vreinterpretq_s8_s16(vzip1q_s16(low, high)),
            vreinterpretq_s8_s16(vzip2q_s16(low, high))};
  }
};

static inline uint32_t WeightSum(const uint8_t* w, size_t n) {
  uint32x4_t sums = vdupq_n_u32(0);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const uint8x16x4_t x = vld1q_u8_x4(w + i);
    const uint16x8_t low = vpadalq_u8(vpaddlq_u8(x.val[0]), x.val[1]);
    sums = vpadalq_u16(sums, vpadalq_u8(vpadalq_u8(low, x.val[2]), x.val[3]));
  }
  for (; i + 16 <= n; i += 16) sums = vpadalq_u16(sums, vpaddlq_u8(vld1q_u8(w + i)));
  if (i < n) {
    const uint8x16_t x = i > 0 ? LoadLast8(w + n, n - i) : LoadPartial8(w, n);
    sums = vpadalq_u16(sums, vpaddlq_u8(x));
  }
  return vaddvq_u32(sums);
}

// How the rows of a block are requantized, and what their sums begin with: less the share of the
// offset of V.
struct MeanRows {
  static constexpr size_t kPadded = kMaxBlockRows + kLanes16;  // vectors may be loaded at the end

  int32_t first[kPadded];  // with the rounding
  int32_t upper_shift[kPadded];
  int16_t multiplier[kPadded];
};

// From the sums of the rows' weights. No vectors: one copy is enough.
void SetMeanRows(const WeightedMean& op, const uint32_t* sums, size_t count, uint32_t offset,
                 MeanRows* rows);

class ToMean {
 public:
  PQV_INLINE ToMean(const WeightedMean& op, const MeanRows& rows, size_t row_begin)
      : y_(op.y),
        stride_(op.y_stride),
        rows_(rows),
        row_begin_(row_begin),
        limits_(MakeLimits(op.y_bits)) {}

  template <size_t kRows>
  class Rows {
   public:
    PQV_INLINE Rows(const ToMean& to, size_t row, size_t d)
        : first_(to.rows_.first + (row - to.row_begin_)),
          shift_(to.rows_.upper_shift + (row - to.row_begin_)),
          multiplier_(vld1q_s16(to.rows_.multiplier + (row - to.row_begin_))),
          y_(to.y_ + row * to.stride_ + d),
          stride_(to.stride_),
          limits_(to.limits_) {}

    PQV_INLINE void Next() { y_ += kPanelChannels; }

    PQV_INLINE void Begin(Sums<kRows>* sums) const {
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        sums->row[r][0] = sums->row[r][1] = vld1q_dup_s32(first_ + r);
      }
    }

    template <typename TileSums>
    PQV_INLINE void End(const TileSums& tile_sums, size_t count) const {
      const Sums<kRows> sums = InRows(tile_sums);
      int16x8_t u[kRows];
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        const int32x4_t shift = vld1q_dup_s32(shift_ + r);
        u[r] = UpperHalves(sums.row[r][0], sums.row[r][1], shift, shift);
      }
      Multiply(u);
      StoreRows(u, limits_, count, y_, stride_);
    }

   private:
    PQV_INLINE void Multiply(int16x8_t (&u)[kRows]) const {
      u[0] = vqrdmulhq_laneq_s16(u[0], multiplier_, 0);
      if constexpr (kRows > 1) u[1] = vqrdmulhq_laneq_s16(u[1], multiplier_, 1);
      if constexpr (kRows > 2) u[2] = vqrdmulhq_laneq_s16(u[2], multiplier_, 2);
      if constexpr (kRows > 3) u[3] = vqrdmulhq_laneq_s16(u[3], multiplier_, 3);
      if constexpr (kRows > 4) u[4] = vqrdmulhq_laneq_s16(u[4], multiplier_, 4);
      if constexpr (kRows > 5) u[5] = vqrdmulhq_laneq_s16(u[5], multiplier_, 5);
      if constexpr (kRows > 6) u[6] = vqrdmulhq_laneq_s16(u[6], multiplier_, 6);
      if constexpr (kRows > 7) u[7] = vqrdmulhq_laneq_s16(u[7], multiplier_, 7);
    }

    const int32_t* first_;
    const int32_t* shift_;
    int16x8_t multiplier_;
    int8_t* y_;
    size_t stride_;
    Limits limits_;
  };

 private:
  int8_t* const y_;
  const size_t stride_;
  const MeanRows& rows_;
  const size_t row_begin_;
  const Limits limits_;
};

template <typename Tile, int kOffset>
static void RunWeightedMeanWith(const WeightedMean& op) {
  const Product product = {0, op.m, 0, op.d, op.n, op.w, op.w_stride};
  MeanRows rows;
  uint32_t sums[kMaxBlockRows];  // of a block's weights; a division would wait for its own
  for (size_t begin = 0; begin < op.m; begin += kMaxBlockRows) {
    const size_t end = Min(begin + kMaxBlockRows, op.m);
    for (size_t r = begin; r < end; ++r) sums[r - begin] = WeightSum(op.w + r * op.w_stride, op.n);
    SetMeanRows(op, sums, end - begin, kOffset, &rows);
    RunBlock<Tile>(product, begin, end, ColumnPanels<typename Tile::Form, kOffset>{op},
                   ToMean(op, rows, begin));
  }
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_WEIGHTED_MEAN_NEON_H_
