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
    alignas(16) int32_t x[kSize];
    alignas(16) int32_t y[kSize];
    const size_t next_row = row + kFastRows / 2;
    const size_t next_n = n + kPanelChannels;
    Accumulator sums;
    sums.Begin(First(row, n));
    sums.AddBlocks(&rows, &panel, pass_.blocks);  // P1
    sums.Save(x);
    sums.AddBlocks(&rows, &panel, pass_.blocks);  // P2
    End(sums, row, n);
    sums.Load(x);
    sums.AddBlocks(&rows, &panel, pass_.blocks);  // P6
    sums.Save(x);
    sums.AddBlocks(&rows, &panel, pass_.blocks);  // P7
    sums.Save(y);
    sums.AddBlocks(&rows, &panel, pass_.blocks);  // -P4
    End(sums, next_row, n);
    sums.Begin(Difference(row, n));
    sums.AddBlocks(&rows, &panel, pass_.blocks);  // P5
    sums.AddTo(y);
    sums.Add(x);
    sums.AddBlocks(&rows, &panel, pass_.blocks);  // P3
    End(sums, row, next_n);
    sums.Load(y);
    End(sums, next_row, next_n);
  }

 private:
  using Accumulator = typename Tile::template Accumulator<kFastRows / 2>;
  using Sums = arm64::Sums<kFastRows / 2>;
  static constexpr size_t kSize = kFastRows / 2 * kPanelChannels;

  PQV_INLINE Sums First(size_t row, size_t n) const {
    Sums sums = {};
    if (pass_.is_first) epilogue_.Begin(row, n, &sums);
    return sums;
  }

  // What the right half of the tile begins with, less what P1 brings into it.
  PQV_INLINE Sums Difference(size_t row, size_t n) const {
    Sums sums = First(row, n + kPanelChannels);
    const Sums left = First(row, n);
#pragma GCC unroll 8
    for (size_t r = 0; r < kFastRows / 2; ++r) {
      sums.row[r][0] = vsubq_s32(sums.row[r][0], left.row[r][0]);
      sums.row[r][1] = vsubq_s32(sums.row[r][1], left.row[r][1]);
    }
    return sums;
  }

  PQV_INLINE void End(const Accumulator& accumulator, size_t row, size_t n) const {
    Sums sums;
    accumulator.End(&sums);
    int32_t* partial = pass_.partial + (row - pass_.row_begin) * kFastBlockChannels;
    partial += n - pass_.channel_begin;
    if (!pass_.is_first) {
#pragma GCC unroll 8
      for (size_t r = 0; r < kFastRows / 2; ++r) {
        const int32_t* before = partial + r * kFastBlockChannels;
        sums.row[r][0] = vaddq_s32(sums.row[r][0], vld1q_s32(before));
        sums.row[r][1] = vaddq_s32(sums.row[r][1], vld1q_s32(before + 4));
      }
    }
    if (pass_.is_last) return epilogue_.End(row, n, sums);
    StoreRows(sums, kPanelChannels, partial, kFastBlockChannels);
  }

  const FastPass& pass_;
  const Epilogue& epilogue_;
};

// One pass over k of a block of rows and channels.
template <typename Tile, typename Panels, typename Epilogue>
static PQV_INLINE void RunFastPass(const Product& op, const FastPass& pass, size_t k,
                                   const RowFactors& rows, const Panels& panels,
                                   const Epilogue& epilogue, uint8_t* scratch) {
  const size_t half_k = pass.blocks * kBlockK;
  const size_t bytes = half_k * kPanelChannels;
  const size_t factor_bytes = FactorBytes(2 * half_k);
  uint8_t* panel = scratch;
  for (size_t n = op.channel_begin; n < op.channel_end; n += kFastChannels) {
    for (size_t b = 0; b < 4; ++b) {
      panels.Make(n + b % 2 * kPanelChannels, k + b / 2 * half_k, kPanelChannels, half_k,
                  panel + kStrassenB[b] * bytes);
    }
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

// A product of values whose sums fit in bytes. Its rows and channels are whole tiles, its k a
// multiple of 2 * kBlockK.
template <typename Tile, typename Panels, typename Epilogue>
static void RunFastProduct(const Product& op, const RowFactors& rows, const Panels& panels,
                           const Epilogue& epilogue) {
  alignas(64) uint8_t scratch[kFastBlockChannels / kFastChannels * FactorBytes(kMaxFastPassK)];
  alignas(64) int32_t partial[kFastBlockRows * kFastBlockChannels];
  const size_t pass_k = FastPassK(op.k);
  for (size_t row = op.row_begin; row < op.row_end; row += kFastBlockRows) {
    for (size_t n = op.channel_begin; n < op.channel_end; n += kFastBlockChannels) {
      Product part = op;
      part.row_begin = row;
      part.row_end = Min(row + kFastBlockRows, op.row_end);
      part.channel_begin = n;
      part.channel_end = Min(n + kFastBlockChannels, op.channel_end);
      for (size_t k = 0; k < op.k; k += pass_k) {
        const size_t count = Min(op.k - k, pass_k);
        const FastPass pass = {count / 2 / kBlockK, k == 0, k + count == op.k, partial, row, n};
        RunFastPass<Tile>(part, pass, k, rows, panels, epilogue, scratch);
      }
    }
  }
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_STRASSEN_NEON_H_
