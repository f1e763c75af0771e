// The driver of Strassen's product (strassen.h) on arm64: tiles of 16 rows by 16 channels, each of
// four blocks of 8 by 8.

#ifndef PQV_KERNELS_COMMON_STRASSEN_NEON_H_
#define PQV_KERNELS_COMMON_STRASSEN_NEON_H_

#include "kernels/common/strassen.h"
#include "kernels/common/tile_neon.h"

namespace pqv {
namespace arm64 {

constexpr size_t kFastRows = 16;  // of a tile, as many as its channels
constexpr size_t kFastChannels = 2 * kPanelChannels;
constexpr size_t kMaxFastPassK = 768;
constexpr size_t kFastBlockRows = 208;     // that share the weights of a pass
constexpr size_t kFastBlockChannels = 64;  // whose factors are in scratch memory at a time

// Of the factors of 16 rows or channels that have `k`.
static constexpr size_t FactorBytes(size_t k) { return kStrassenProducts * 8 * k / 2; }

// The k of a pass.
static constexpr size_t FastPassK(size_t k) {
  const size_t passes = CeilDivide(k, kMaxFastPassK);
  return CeilDivide(CeilDivide(k, passes), 2 * kBlockK) * (2 * kBlockK);
}

static PQV_INLINE int8x16x4_t Load64(const uint8_t* x) {
  return vld1q_s8_x4(reinterpret_cast<const int8_t*>(x));
}

static PQV_INLINE void Store64(uint8_t* y, const int8x16x4_t& x) {
  vst1q_s8_x4(reinterpret_cast<int8_t*>(y), x);
}

static PQV_INLINE int8x16x4_t Plus(const int8x16x4_t& x, const int8x16x4_t& y) {
  return {{vaddq_s8(x.val[0], y.val[0]), vaddq_s8(x.val[1], y.val[1]), vaddq_s8(x.val[2], y.val[2]),
           vaddq_s8(x.val[3], y.val[3])}};
}

static PQV_INLINE int8x16x4_t Minus(const int8x16x4_t& x, const int8x16x4_t& y) {
  return {{vsubq_s8(x.val[0], y.val[0]), vsubq_s8(x.val[1], y.val[1]), vsubq_s8(x.val[2], y.val[2]),
           vsubq_s8(x.val[3], y.val[3])}};
}

// The factors of A from its blocks, in place. `bytes` of a block are a multiple of 64.
static inline void SumRows(uint8_t* x, size_t bytes) {
  for (const uint8_t* const end = x + bytes; x < end; x += 64) {
    const int8x16x4_t a11 = Load64(x);
    const int8x16x4_t a12 = Load64(x + bytes);
    const int8x16x4_t a21 = Load64(x + 3 * bytes);
    const int8x16x4_t s1 = Plus(a21, Load64(x + 4 * bytes));
    const int8x16x4_t s2 = Minus(s1, a11);
    Store64(x + 2 * bytes, s2);
    Store64(x + 3 * bytes, Minus(a11, a21));
    Store64(x + 5 * bytes, s1);
    Store64(x + 6 * bytes, Minus(a12, s2));
  }
}

static inline void SumPanels(uint8_t* x, size_t bytes) {
  for (const uint8_t* const end = x + bytes; x < end; x += 64) {
    const int8x16x4_t b12 = Load64(x + 5 * bytes);
    const int8x16x4_t b22 = Load64(x + 6 * bytes);
    const int8x16x4_t t1 = Minus(b12, Load64(x));
    const int8x16x4_t t2 = Minus(b22, t1);
    Store64(x + 2 * bytes, t2);
    Store64(x + 3 * bytes, Minus(b22, b12));
    Store64(x + 4 * bytes, Minus(Load64(x + bytes), t2));
    Store64(x + 5 * bytes, t1);
  }
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

// Makes them for rows row_begin .. row_end of `op`, whole tiles.
template <typename Tile>
static void MakeRowFactors(const Product& op, const RowFactors& factors) {
  const size_t pass_k = FastPassK(op.k);
  for (size_t k = 0; k < op.k; k += pass_k) {
    const size_t count = Min(op.k - k, pass_k);
    const size_t half_k = count / 2;
    const size_t bytes = half_k * 8;
    for (size_t row = op.row_begin; row < op.row_end; row += kFastRows) {
      uint8_t* const target = factors.At(k, count, row);
      for (size_t b = 0; b < 4; ++b) {
        const uint8_t* a = op.a + (row + b / 2 * Tile::kRows) * op.a_stride + k + b % 2 * half_k;
        Tile::PackRows(a, op.a_stride, Tile::kRows, half_k, target + kStrassenA[b] * bytes);
      }
      SumRows(target, bytes);
    }
  }
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
    StrassenStart start;
    StrassenSums sums;
    Begin(row, n, &start);
    Tile::StrassenProducts(rows, panel, pass_.blocks, start, &sums);
    if (pass_.is_first && pass_.is_last) return End(sums, row, n);
    EndPass(sums, row, n);
  }

 private:
  static constexpr size_t kHalfRows = kFastRows / 2;
  using Rows = typename Epilogue::template Rows<kHalfRows>;
  using Sums = arm64::Sums<kHalfRows>;

  PQV_INLINE void Begin(size_t row, size_t n, StrassenStart* start) const {
    if (!pass_.is_first) {
      *start = {};
      return;
    }
    Sums left, right;
    Rows(epilogue_, row, n).Begin(&left);
    Rows(epilogue_, row, n + kPanelChannels).Begin(&right);
    for (size_t v = 0; v < 2; ++v) {
      vst1q_s32(start->left + 4 * v, left.row[0][v]);
      vst1q_s32(start->difference + 4 * v, vsubq_s32(right.row[0][v], left.row[0][v]));
    }
  }

  PQV_INLINE void End(const StrassenSums& sums, size_t row, size_t n) const {
#pragma GCC unroll 1
    for (size_t right = 0; right < 2; ++right) {
      Rows ends(epilogue_, row, n + right * kPanelChannels);
      ends.End(SumsOf(sums.block[right]), kPanelChannels);
      ends.NextRows();
      ends.End(SumsOf(sums.block[2 + right]), kPanelChannels);
    }
  }

  // With the sums of the passes before, or for those that follow.
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

  static PQV_INLINE void AddPartial(const int32_t* partial, Sums* sums) {
#pragma GCC unroll 8
    for (size_t r = 0; r < kHalfRows; ++r, partial += kFastBlockChannels) {
      sums->row[r][0] = vaddq_s32(sums->row[r][0], vld1q_s32(partial));
      sums->row[r][1] = vaddq_s32(sums->row[r][1], vld1q_s32(partial + 4));
    }
  }

  const FastPass& pass_;
  const Epilogue& epilogue_;
};

// The rows that are no whole tile, by the blocks of weights that are factors, too, while no sum is
// in the place of B12: B11 beside B12, then B21 beside B22.
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
        tile.panels = {panel + kStrassenB[2 * half] * bytes, kStrassenB[1] * bytes};
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
  static_assert(kStrassenB[3] - kStrassenB[2] == kStrassenB[1] - kStrassenB[0], "one stride");

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
  const size_t bytes = half_k * kPanelChannels;
  const size_t factor_bytes = FactorBytes(2 * half_k);
  uint8_t* panel = scratch;
  if (rest != nullptr) rest->Pack(k, half_k);
  for (size_t n = op.channel_begin; n < op.channel_end; n += kFastChannels) {
    for (size_t b = 0; b < 4; ++b) {
      panels.Make(n + b % 2 * kPanelChannels, k + b / 2 * half_k, kPanelChannels, half_k,
                  panel + kStrassenB[b] * bytes);
    }
    if (rest != nullptr) rest->Run(pass, n, panel);
    SumPanels(panel, bytes);
    panel += factor_bytes;
  }
  for (size_t row = op.row_begin; row < op.row_end; row += kFastRows) {
    const uint8_t* const row_factors = rows.At(k, 2 * half_k, row);
    panel = scratch;
    for (size_t n = op.channel_begin; n < op.channel_end; n += kFastChannels) {
      FastTile<Tile, Epilogue>(pass, epilogue).Run(row_factors, panel, row, n);
      panel += factor_bytes;
    }
  }
}

// A product of values whose sums fit in bytes. Its channels are whole tiles, its k a multiple of
// 2 * kBlockK. The rows that are no whole tile come last, and have no factors.
template <typename Tile, typename Panels, typename Epilogue>
static void RunFastProduct(const Product& op, const RowFactors& rows, const Panels& panels,
                           const Epilogue& shared_epilogue) {
  const Epilogue epilogue = shared_epilogue;  // a copy, which stores of int8 cannot change
  alignas(64) uint8_t scratch[kFastBlockChannels / kFastChannels * FactorBytes(kMaxFastPassK)];
  alignas(64) int32_t partial[kFastBlockRows * kFastBlockChannels];
  const size_t pass_k = FastPassK(op.k);
  const size_t whole_end = op.row_end - op.row_end % kFastRows;
  RestRows<Tile, Epilogue> rest(op, whole_end, op.row_end, epilogue);
  for (size_t row = op.row_begin; row < whole_end; row += kFastBlockRows) {
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

#endif  // PQV_KERNELS_COMMON_STRASSEN_NEON_H_
