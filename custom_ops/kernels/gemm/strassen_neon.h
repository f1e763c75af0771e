// The driver of Strassen's product (strassen.h) on arm64. A tile of one level has 16 rows by 16
// channels, four blocks of 8 by 8; one of two levels has four of those.

#ifndef PQV_KERNELS_GEMM_STRASSEN_NEON_H_
#define PQV_KERNELS_GEMM_STRASSEN_NEON_H_

#include "kernels/gemm/strassen_rows_neon.h"

namespace pqv {
namespace arm64 {

constexpr size_t kFastBlockRows = 224;  // that share the weights of a pass
// Whose factors are in scratch memory at a time.
constexpr size_t kFastBlockChannels = kPartialChannels;

// Of a block's channels with two levels, which have more.
constexpr size_t kMaxPanelBytes =
    kFastBlockChannels / kMaxFastTile * FastShape{2}.PanelBytes(kMaxFastPassK);
static_assert(kFastBlockChannels / kFastChannels * FastShape{1}.PanelBytes(kMaxFastPassK) <=
              kMaxPanelBytes);
static_assert(kFastBlockRows % kMaxFastTile == 0 && kFastBlockChannels % kMaxFastTile == 0 &&
              kMaxFastPassK % (kBlockK << kMaxStrassenLevels) == 0);

// One pass over k, as TilePass.
struct FastPass {
  FastShape shape;
  size_t k;
  bool is_first, is_last;
  StrassenSums* partial;  // of 16 by 16 each, [kFastBlockRows / 16][kFastBlockChannels / 16]
  size_t row_begin, channel_begin;

  size_t blocks() const { return (k >> shape.levels) / kBlockK; }  // of 16 k, in a factor

  PQV_INLINE StrassenSums* PartialAt(size_t row, size_t n) const {
    return partial + (row - row_begin) / kFastRows * (kFastBlockChannels / kFastChannels) +
           (n - channel_begin) / kFastChannels;
  }
};

// `sums` may be one of the others.
static inline void AddSums(const StrassenSums& a, const StrassenSums& b, StrassenSums* sums) {
#pragma GCC unroll 2
  for (size_t i = 0; i < 4 * 64; i += 16) {
    const int32x4x4_t x = vld1q_s32_x4(a.block[0] + i);
    const int32x4x4_t y = vld1q_s32_x4(b.block[0] + i);
    const int32x4x4_t sum = {{vaddq_s32(x.val[0], y.val[0]), vaddq_s32(x.val[1], y.val[1]),
                              vaddq_s32(x.val[2], y.val[2]), vaddq_s32(x.val[3], y.val[3])}};
    vst1q_s32_x4(sums->block[0] + i, sum);
  }
}

template <typename Tile, typename Epilogue>
class FastTile {
 public:
  PQV_INLINE FastTile(const FastPass& pass, const Epilogue& epilogue)
      : pass_(pass), epilogue_(epilogue) {}

  // The tile at `row` and channel `n`, from the factors of both.
  PQV_INLINE void Run(const uint8_t* rows, const uint8_t* panel, size_t row, size_t n) const {
    const int32_t* const bias = pass_.is_first ? epilogue_.bias(n) : kNoBias;
    if (pass_.shape.levels == 2) return RunTwoLevels(rows, panel, bias, row, n);
    if (pass_.is_first) return RunBlock({rows, panel, bias}, nullptr, row, n);
    RunLast({rows, panel, bias}, nullptr, row, n);
  }

 private:
  static constexpr size_t kHalfRows = kFastRows / 2;
  static constexpr int32_t kNoBias[kMaxFastTile] = {};
  using Rows = typename Epilogue::template Rows<kHalfRows>;

  // Of 16 rows by 16 channels.
  struct Factors {
    const uint8_t* rows;
    const uint8_t* panel;
    const int32_t* bias;
  };

  PQV_INLINE void RunProducts(const Factors& factors, const StrassenSums* initial,
                              const StrassenEnds& ends, StrassenSums* sums) const {
    static_assert(kMaxFastPassK / 2 <= Tile::kMaxStrassenBlocks * kBlockK);
    Tile::StrassenProducts(factors.rows, factors.panel, pass_.blocks(), factors.bias, initial, ends,
                           sums);
  }

  // To output, or to the partial sums.
  PQV_INLINE void RunBlock(const Factors& factors, const StrassenSums* initial, size_t row,
                           size_t n) const {
    if (!pass_.is_last) {
      return RunProducts(factors, initial, {}, pass_.PartialAt(row, n));
    }
    const StrassenEnds ends = epilogue_.EndsOf(row, n);
    StrassenSums sums;
    RunProducts(factors, initial, ends, &sums);
    if (ends.shift == nullptr) End(sums, row, n);
  }

  // Chains the products of the outer level as StrassenProducts does those of the inner one.
  __attribute__((noinline)) void RunTwoLevels(const uint8_t* rows, const uint8_t* panel,
                                              const int32_t* bias, size_t row, size_t n) const {
    const size_t bytes = FactorBytes(pass_.k / 2);
    const auto next = [&](const int32_t* bias) PQV_LAMBDA -> Factors {
      rows += bytes;
      panel += bytes;
      return {rows - bytes, panel - bytes, bias};
    };
    const size_t lower = row + kFastRows;
    const size_t right = n + kFastChannels;
    int32_t more_bias[kFastChannels];
    for (size_t i = 0; i < kFastChannels; ++i) more_bias[i] = bias[kFastChannels + i] - bias[i];
    StrassenSums x, y, p5;
    RunProducts(next(bias), nullptr, {}, &y);        // P1
    RunLast(next(kNoBias), &y, row, n);              // P2
    RunProducts(next(kNoBias), &y, {}, &x);          // P6
    RunProducts(next(kNoBias), &x, {}, &y);          // P7
    RunLast(next(kNoBias), &y, lower, n);            // -P4
    RunProducts(next(more_bias), nullptr, {}, &p5);  // P5
    EndTotal(p5, y, lower, right);
    AddSums(p5, x, &x);
    RunLast(next(kNoBias), &x, row, right);  // P3
  }

  // The last product of a block, which begins with the others, if there are any, and with the sums
  // of the passes before; not where those are, as sums of products wait there.
  __attribute__((noinline)) void RunLast(const Factors& factors, const StrassenSums* others,
                                         size_t row, size_t n) const {
    StrassenSums initial;
    if (!pass_.is_first) {
      const StrassenSums& partial = *pass_.PartialAt(row, n);
      if (others == nullptr) {
        initial = partial;
      } else {
        AddSums(*others, partial, &initial);
      }
      others = &initial;
    }
    RunBlock(factors, others, row, n);
  }

  // Of a block all of whose products are there.
  PQV_INLINE void EndTotal(const StrassenSums& a, const StrassenSums& b, size_t row,
                           size_t n) const {
    StrassenSums* const partial = pass_.PartialAt(row, n);
    StrassenSums total;
    AddSums(a, b, &total);
    if (!pass_.is_first) AddSums(total, *partial, &total);
    if (pass_.is_last) {
      End(total, row, n);
    } else {
      *partial = total;
    }
  }

  __attribute__((noinline)) void End(const StrassenSums& all, size_t row, size_t n) const {
    for (size_t b = 0; b < 4; ++b) {
      Sums<kHalfRows> sums;
      LoadSums(all.block[b], &sums);
      Rows(epilogue_, row + b / 2 * kHalfRows, n + b % 2 * kPanelChannels)
          .End(sums, kPanelChannels);
    }
  }

  const FastPass& pass_;
  const Epilogue& epilogue_;
};

// The rows that are no whole tile, by the blocks of weights: B11 beside B12, then B21 beside B22.
template <typename Tile, typename Epilogue>
class RestRows {
 public:
  // Rows begin .. end of `op`.
  RestRows(const Product& op, size_t begin, size_t end, const Epilogue& epilogue)
      : op_(op), begin_(begin), end_(end), epilogue_(epilogue) {}

  // For a pass from k on.
  void Pack(size_t k, size_t half_k) {
    for (size_t row = begin_; row < end_; row += Tile::kRows) {
      for (size_t half = 0; half < 2; ++half) {
        const uint8_t* a = op_.a + row * op_.a_stride + k + half * half_k;
        Tile::PackRows(a, op_.a_stride, RowsFrom(row), half_k, packed_[(row - begin_) / 8][half]);
      }
    }
  }

  // Channels n .. n + 15, from the blocks of weights of both halves of k.
  __attribute__((noinline)) void Run(const FastPass& pass, size_t n,
                                     const PanelBlock (&blocks)[2]) {
    for (size_t row = begin_; row < end_; row += Tile::kRows) {
      for (size_t half = 0; half < 2; ++half) {
        TilePass tile;
        tile.rows = packed_[(row - begin_) / 8][half];
        tile.is_narrow = false;
        tile.panels = blocks[half];
        tile.groups = pass.k / 2 / kGroupSize;
        tile.is_first = pass.is_first && half == 0;
        tile.is_last = pass.is_last && half == 1;
        tile.partial = partial_ + (row - begin_) * kPartialChannels + n - pass.channel_begin;
        RunTileOf<Tile, Tile::kRows, typename Tile::Form>(RowsFrom(row), tile, row, n,
                                                          n + kFastChannels, epilogue_);
      }
    }
  }

 private:
  size_t RowsFrom(size_t row) const { return Min(end_ - row, Tile::kRows); }

  const Product& op_;
  const size_t begin_;
  const size_t end_;
  const Epilogue& epilogue_;
  alignas(64) uint8_t packed_[kMaxFastTile / Tile::kRows][2][Tile::RowsBytes(kMaxFastPassK / 2)];
  alignas(64) int32_t partial_[kMaxFastTile * kPartialChannels];
};

// Memory of a task.
struct FastScratch {
  alignas(64) uint8_t panels[kMaxPanelBytes];
  alignas(64) uint8_t outer[2][PanelFactorBytes(kMaxFastPassK)];  // factors of the first level
  alignas(64) StrassenSums partial[kFastBlockRows / kFastRows * kFastBlockChannels / kFastChannels];
};

// The factors of the channels of a tile that begins at n, and the rows that are left over: their
// blocks of weights are among those of the first level.
template <typename Panels, typename Rest>
static __attribute__((noinline)) void MakePanelFactors(const FastPass& pass, size_t k, size_t n,
                                                       const Panels& panels, Rest* rest,
                                                       FastScratch* scratch, uint8_t* target) {
  const size_t block_k = pass.k / 2;
  const size_t bytes = kPanelChannels * block_k;
  if (pass.shape.levels == 1) {
    panels.Make(n, kPanelChannels, k, block_k, target);
    if (rest == nullptr) return;
    const auto blocks = [&](size_t half) PQV_LAMBDA -> PanelBlock {
      const size_t* const b = kStrassenB[half];
      return {target + b[0] * bytes, (b[1] - b[0]) * bytes};
    };
    rest->Run(pass, n, {blocks(0), blocks(1)});
    return;
  }
  uint8_t* const left = scratch->outer[0];
  uint8_t* const right = scratch->outer[1];
  panels.Make(n, kFastChannels, k, block_k, left);
  panels.Make(n + kPanelChannels, kFastChannels, k, block_k, right);
  for (size_t f = 0; f < kStrassenProducts; ++f) {
    const size_t at = f * bytes;
    const size_t lower = at + bytes / 2;
    MakeFactorsOfPanels<false>(left + at, right + at, left + lower, right + lower,
                               block_k / 2 / kGroupSize, target + f * FactorBytes(block_k));
  }
  if (rest == nullptr) return;
  for (size_t j = 0; j < 2; ++j) {
    const auto blocks = [&](size_t half) PQV_LAMBDA -> PanelBlock {
      return {left + kStrassenB[half][j] * bytes, sizeof(scratch->outer[0])};
    };
    rest->Run(pass, n + j * kFastChannels, {blocks(0), blocks(1)});
  }
}

// One pass over k of a block of rows and channels; of `rest`, too, unless it is null.
template <typename Tile, typename Panels, typename Epilogue>
static PQV_INLINE void RunFastPass(const Product& op, const FastPass& pass, size_t k,
                                   const RowFactors& rows, const Panels& panels,
                                   const Epilogue& epilogue, RestRows<Tile, Epilogue>* rest,
                                   FastScratch* scratch) {
  const size_t tile = pass.shape.Tile();
  const size_t panel_bytes = pass.shape.PanelBytes(pass.k);
  uint8_t* panel = scratch->panels;
  if (rest != nullptr) rest->Pack(k, pass.k / 2);
  for (size_t n = op.channel_begin; n < op.channel_end; n += tile) {
    MakePanelFactors(pass, k, n, panels, rest, scratch, panel);
    panel += panel_bytes;
  }
  for (size_t row = op.row_begin; row < op.row_end; row += tile) {
    const uint8_t* const row_factors = rows.At(k, pass.k, row);
    panel = scratch->panels;
    for (size_t n = op.channel_begin; n < op.channel_end; n += tile) {
      FastTile<Tile, Epilogue>(pass, epilogue).Run(row_factors, panel, row, n);
      panel += panel_bytes;
    }
  }
}

// A product of values whose sums fit in bytes. Its channels are whole tiles, its k whole blocks.
// The rows that are no whole tile come last, and have no factors.
template <typename Tile, typename Panels, typename Epilogue>
static void RunFastProduct(const Product& op, const RowFactors& rows, const Panels& panels,
                           const Epilogue& shared_epilogue, FastScratch* scratch) {
  const Epilogue epilogue = shared_epilogue;  // a copy, which stores of int8 cannot change
  const FastShape shape = rows.shape;
  const size_t pass_k = shape.PassK(op.k);
  const size_t whole_end = shape.WholeEnd(op.row_begin, op.row_end);
  RestRows<Tile, Epilogue> rest(op, whole_end, op.row_end, epilogue);
  // Once, even if there are only rows that are left over: their channels are prepared all the same.
  for (size_t row = op.row_begin; row == op.row_begin || row < whole_end; row += kFastBlockRows) {
    for (size_t n = op.channel_begin; n < op.channel_end; n += kFastBlockChannels) {
      Product part = op;
      part.row_begin = row;
      part.row_end = Min(row + kFastBlockRows, whole_end);
      part.channel_begin = n;
      part.channel_end = Min(n + kFastBlockChannels, op.channel_end);
      for (size_t k = 0; k < op.k; k += pass_k) {
        const size_t count = Min(op.k - k, pass_k);
        const FastPass pass = {shape, count, k == 0, k + count == op.k, scratch->partial, row, n};
        RunFastPass<Tile>(part, pass, k, rows, panels, epilogue,
                          row == op.row_begin ? &rest : nullptr, scratch);
      }
    }
  }
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_STRASSEN_NEON_H_
