// The driver of Strassen's product (strassen.h) on arm64: tiles of 16 rows by 16 channels, each of
// four blocks of 8 by 8.

#ifndef PQV_KERNELS_GEMM_STRASSEN_NEON_H_
#define PQV_KERNELS_GEMM_STRASSEN_NEON_H_

#include "kernels/common/saturation_neon.h"
#include "kernels/gemm/strassen.h"
#include "kernels/gemm/strassen_factors.h"
#include "kernels/gemm/tile_neon.h"

namespace pqv {
namespace arm64 {

constexpr size_t kFastRows = 16;  // of a tile, as many as its channels
constexpr size_t kFastChannels = 2 * kPanelChannels;
constexpr size_t kMaxFastPassK = 768;
constexpr size_t kFastBlockRows = 208;  // that share the weights of a pass
// Whose factors are in scratch memory at a time.
constexpr size_t kFastBlockChannels = kPartialChannels;

// Of the factors of 16 rows that have `k`.
static constexpr size_t FactorBytes(size_t k) { return kStrassenProducts * 8 * k / 2; }

// Of those of 16 channels, and B12.
static constexpr size_t PanelFactorBytes(size_t k) { return (kStrassenProducts + 1) * 8 * k / 2; }

// The k of a pass.
static constexpr size_t FastPassK(size_t k) {
  const size_t passes = CeilDivide(k, kMaxFastPassK);
  return CeilDivide(CeilDivide(k, passes), 2 * kBlockK) * (2 * kBlockK);
}

// The factors of all rows of a product, which its tasks share: pass by pass, rows after rows.
struct RowFactors {
  uint8_t* data;
  size_t row_tiles;

  size_t Bytes(size_t k) const { return row_tiles * FactorBytes(k); }

  // Of the pass from k on.
  uint8_t* At(size_t k, size_t pass_k, size_t row) const {
    return data + Bytes(k) + row / kFastRows * FactorBytes(pass_k);
  }
};

// Makes them for rows row_begin .. row_end of `op`, whole tiles. Returns false, and leaves it at
// that, where values are no codes of 4 bits.
static inline bool MakeRowFactors(const Product& op, const RowFactors& factors) {
  const size_t pass_k = FastPassK(op.k);
  for (size_t k = 0; k < op.k; k += pass_k) {
    const size_t count = Min(op.k - k, pass_k);
    for (size_t row = op.row_begin; row < op.row_end; row += kFastRows) {
      uint8_t* const target = factors.At(k, count, row);
      const uint8_t* const a = op.a + row * op.a_stride + k;
      ForgetSaturation();
      MakeFactorsOfRows(a, op.a_stride, count / 2, target);
      MakeFactorsOfRows(a + kHalfRows * op.a_stride, op.a_stride, count / 2, target + kHalfBytes);
      if (HasSaturated()) return false;
    }
  }
  return true;
}

// One pass over k. As in TilePass, but for partial sums, which are those of the whole block.
struct FastPass {
  size_t blocks;  // of 16 k, in half of the pass
  bool is_first, is_last;
  int32_t* partial;  // [kFastBlockRows][kFastBlockChannels]
  size_t row_begin, channel_begin;
};

template <typename Tile, typename Epilogue>
class FastTile {
 public:
  PQV_INLINE FastTile(const FastPass& pass, const Epilogue& epilogue)
      : pass_(pass), epilogue_(epilogue) {}

  // The tile at `row` and channel `n`, from the factors of both.
  PQV_INLINE void Run(const uint8_t* rows, const uint8_t* panel, size_t row, size_t n) const {
    static constexpr int32_t kNoBias[kFastChannels] = {};
    StrassenEnds ends = {};
    if (pass_.is_first && pass_.is_last) ends = epilogue_.EndsOf(row, n);
    StrassenSums sums;
    Tile::StrassenProducts(rows, panel, pass_.blocks, pass_.is_first ? epilogue_.bias(n) : kNoBias,
                           ends, &sums);
    if (ends.shift == nullptr) EndPass(sums, row, n);
  }

 private:
  static constexpr size_t kHalfRows = kFastRows / 2;
  using Rows = typename Epilogue::template Rows<kHalfRows>;
  using Sums = arm64::Sums<kHalfRows>;

  // With the sums of the passes before, or for those that follow; and where the rows of a residual
  // begin anew.
  __attribute__((noinline)) void EndPass(const StrassenSums& all, size_t row, size_t n) const {
    for (size_t b = 0; b < 4; ++b) {
      const size_t block_row = row + b / 2 * kHalfRows;
      const size_t block_n = n + b % 2 * kPanelChannels;
      int32_t* partial = pass_.partial + (block_row - pass_.row_begin) * kFastBlockChannels;
      partial += block_n - pass_.channel_begin;
      Sums sums = SumsOf(all.block[b]);
      if (!pass_.is_first) AddPartial(partial, &sums);
      if (pass_.is_last) {
        Rows(epilogue_, block_row, block_n).End(sums, kPanelChannels);
      } else {
        StoreRows(sums, kPanelChannels, partial, kFastBlockChannels);
      }
    }
  }

  static PQV_INLINE Sums SumsOf(const int32_t* block) {
    Sums sums;
    LoadSums(block, &sums);
    return sums;
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

  // Channels n .. n + 15, whose blocks of weights are at `panel`.
  void Run(const FastPass& pass, size_t n, const uint8_t* panel) {
    const size_t bytes = pass.blocks * kBlockK * kPanelChannels;
    for (size_t row = begin_; row < end_; row += Tile::kRows) {
      for (size_t half = 0; half < 2; ++half) {
        TilePass tile;
        tile.rows = packed_[(row - begin_) / 8][half];
        tile.is_narrow = false;
        const size_t* const blocks = kStrassenB[half];
        tile.panels = {panel + blocks[0] * bytes, (blocks[1] - blocks[0]) * bytes};
        tile.groups = pass.blocks * kBlockGroups;
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
  alignas(64) uint8_t packed_[2][2][Tile::RowsBytes(kMaxFastPassK / 2)];
  alignas(64) int32_t partial_[kFastRows * kPartialChannels];
};

// One pass over k of a block of rows and channels; of `rest`, too, unless it is null.
template <typename Tile, typename Panels, typename Epilogue>
static PQV_INLINE void RunFastPass(const Product& op, const FastPass& pass, size_t k,
                                   const RowFactors& rows, const Panels& panels,
                                   const Epilogue& epilogue, RestRows<Tile, Epilogue>* rest,
                                   uint8_t* scratch) {
  const size_t half_k = pass.blocks * kBlockK;
  const size_t panel_bytes = PanelFactorBytes(2 * half_k);
  uint8_t* panel = scratch;
  if (rest != nullptr) rest->Pack(k, half_k);
  for (size_t n = op.channel_begin; n < op.channel_end; n += kFastChannels) {
    panels.Make(n, k, half_k, panel);
    if (rest != nullptr) rest->Run(pass, n, panel);
    panel += panel_bytes;
  }
  for (size_t row = op.row_begin; row < op.row_end; row += kFastRows) {
    const uint8_t* const row_factors = rows.At(k, 2 * half_k, row);
    panel = scratch;
    for (size_t n = op.channel_begin; n < op.channel_end; n += kFastChannels) {
      FastTile<Tile, Epilogue>(pass, epilogue).Run(row_factors, panel, row, n);
      panel += panel_bytes;
    }
  }
}

// A product of values whose sums fit in bytes. Its channels are whole tiles, its k a multiple of
// 2 * kBlockK. The rows that are no whole tile come last, and have no factors.
template <typename Tile, typename Panels, typename Epilogue>
static void RunFastProduct(const Product& op, const RowFactors& rows, const Panels& panels,
                           const Epilogue& shared_epilogue) {
  const Epilogue epilogue = shared_epilogue;  // a copy, which stores of int8 cannot change
  alignas(64) uint8_t scratch[kFastBlockChannels / kFastChannels * PanelFactorBytes(kMaxFastPassK)];
  alignas(64) int32_t partial[kFastBlockRows * kFastBlockChannels];
  const size_t pass_k = FastPassK(op.k);
  const size_t whole_end = op.row_end - op.row_end % kFastRows;
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
        const FastPass pass = {count / 2 / kBlockK, k == 0, k + count == op.k, partial, row, n};
        RunFastPass<Tile>(part, pass, k, rows, panels, epilogue,
                          row == op.row_begin ? &rest : nullptr, scratch);
      }
    }
  }
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_STRASSEN_NEON_H_
