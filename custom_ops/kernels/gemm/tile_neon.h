// What the tiles of an int8 matrix product share on arm64: panels of 8 channels, and the driver
// that cuts a product into tiles.
//
// A group is 4 k of the 8 channels, as in packed_matmul/layout.h.

#ifndef PQV_KERNELS_GEMM_TILE_NEON_H_
#define PQV_KERNELS_GEMM_TILE_NEON_H_

#include "kernels/common/arithmetic_neon.h"
#include "kernels/gemm/product.h"
#include "kernels/packed_matmul/layout.h"

namespace pqv {
namespace arm64 {

constexpr size_t kBlockK = 16;              // of one vector of bytes
constexpr size_t kMaxPassK = 1024;          // so that packed rows stay in L1
constexpr size_t kScratchBytes = 48 << 10;  // of panels
constexpr size_t kMaxBlockRows = 208;       // that share the panels of a pass: whole tiles
constexpr size_t kPartialChannels = 64;     // of a block where k takes several passes

enum class Sign { kSigned, kUnsigned };  // of both factors

static PQV_INLINE int8x16_t LoadBytes(const void* x) {
  return vld1q_s8(static_cast<const int8_t*>(x));
}

// Four vectors, and the pointer behind them. Compilers that see through the sum compute addresses
// apart from the loads, which can do it for nothing.
static PQV_INLINE int8x16x4_t LoadNext64(const uint8_t** x) {
  const int8x16x4_t y = vld1q_s8_x4(reinterpret_cast<const int8_t*>(*x));
  *x += 64;
  __asm__("" : "+r"(*x));
  return y;
}

// What follows stays behind what was before: gcc would hoist loads until it runs out of registers.
static PQV_INLINE void KeepOrder() { __asm__ volatile(""); }

static PQV_INLINE void StoreBytes(void* y, int8x16_t x) { vst1q_s8(static_cast<int8_t*>(y), x); }

static PQV_INLINE int8x16_t Zip1x32(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s32(vzip1q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b)));
}

static PQV_INLINE int8x16_t Zip2x32(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s32(vzip2q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b)));
}

// One group of a panel: 4 k of channels 0 .. 3 and of channels 4 .. 7.
struct Group8 {
  int8x16_t low;
  int8x16_t high;
};

// As int4, low and high halves of bytes.
struct Group4 {
  int8x16_t bytes;
};

static PQV_INLINE int8x16_t Low(const Group8& x) { return x.low; }
static PQV_INLINE int8x16_t High(const Group8& x) { return x.high; }
static PQV_INLINE int8x16_t Low(const Group4& x) { return vshrq_n_s8(vshlq_n_s8(x.bytes, 4), 4); }
static PQV_INLINE int8x16_t High(const Group4& x) { return vshrq_n_s8(x.bytes, 4); }

static PQV_INLINE Group8 Zip1x32(const Group8& a, const Group8& b) {
  return {Zip1x32(a.low, b.low), Zip1x32(a.high, b.high)};
}
static PQV_INLINE Group8 Zip2x32(const Group8& a, const Group8& b) {
  return {Zip2x32(a.low, b.low), Zip2x32(a.high, b.high)};
}
static PQV_INLINE Group4 Zip1x32(const Group4& a, const Group4& b) {
  return {Zip1x32(a.bytes, b.bytes)};
}
static PQV_INLINE Group4 Zip2x32(const Group4& a, const Group4& b) {
  return {Zip2x32(a.bytes, b.bytes)};
}

// Four rows of 16 k become four groups of these rows.
static PQV_INLINE void TransposeGroups(int8x16_t* x) {
  const int8x16_t even_low = Zip1x32(x[0], x[2]);
  const int8x16_t even_high = Zip2x32(x[0], x[2]);
  const int8x16_t odd_low = Zip1x32(x[1], x[3]);
  const int8x16_t odd_high = Zip2x32(x[1], x[3]);
  x[0] = Zip1x32(even_low, odd_low);
  x[1] = Zip2x32(even_low, odd_low);
  x[2] = Zip1x32(even_high, odd_high);
  x[3] = Zip2x32(even_high, odd_high);
}

constexpr size_t kBlockGroups = kBlockK / kGroupSize;

// The forms of a panel.

// Panels that lie one after the other.
struct PanelsApart {
  static constexpr size_t kBlockBytes = kBlockK * kPanelChannels;

  // From a panel of `k` to the next one.
  static constexpr size_t Stride(size_t k) { return RoundUp(k, kBlockK) * kPanelChannels; }
};

// Those of the file. int8 is also what a panel that was made in the scratch memory is like.
template <int kBits>
struct GroupForm : PanelsApart {
  static constexpr size_t kGroupBytes = GroupBytes(kBits);

  // As it is in the file.
  static PQV_INLINE auto LoadStored(const uint8_t* group) {
    if constexpr (kBits == 8) {
      return Group8{LoadBytes(group), LoadBytes(group + 16)};
    } else {
      return Group4{LoadBytes(group)};
    }
  }

  static PQV_INLINE Group8 Load(const uint8_t* group) {
    const auto stored = LoadStored(group);
    return {Low(stored), High(stored)};
  }

  // Two groups from *panel on, which moves behind them.
  static PQV_INLINE void LoadNextTwo(const uint8_t** panel, Group8* groups) {
    if constexpr (kBits == 8) {
      const int8x16x4_t x = LoadNext64(panel);
      groups[0] = {x.val[0], x.val[1]};
      groups[1] = {x.val[2], x.val[3]};
    } else {
      groups[0] = Load(*panel);
      groups[1] = Load(*panel + kGroupBytes);
      *panel += 2 * kGroupBytes;
    }
  }

  template <typename Group>
  static PQV_INLINE void Store(const Group* groups, uint8_t* target) {
    static_assert(kBits == 8, "panels are made of int8");
#pragma GCC unroll 4
    for (size_t g = 0; g < kBlockGroups; ++g) {
      StoreBytes(target + g * kGroupBytes, Low(groups[g]));
      StoreBytes(target + g * kGroupBytes + 16, High(groups[g]));
    }
  }
};

// Makes a panel of `groups` groups in whole blocks of 16 k. load(g) gives group g.
template <typename Form, typename Load>
static PQV_INLINE void MakePanel(size_t groups, const Load& load, uint8_t* target) {
  using Group = decltype(load(0));
  size_t g = 0;
  for (; g + kBlockGroups <= groups; g += kBlockGroups, target += Form::kBlockBytes) {
    const Group block[kBlockGroups] = {load(g), load(g + 1), load(g + 2), load(g + 3)};
    Form::Store(block, target);
  }
  if (g == groups) return;
  Group block[kBlockGroups] = {};
  for (size_t i = 0; g + i < groups; ++i) block[i] = load(g + i);
  Form::Store(block, target);
}

// 16 bytes of a row whose k ends at `k`, zero beyond. `i` is a multiple of 16.
static PQV_INLINE int8x16_t LoadBlock(const void* row, size_t i, size_t k) {
  const uint8_t* x = static_cast<const uint8_t*>(row) + i;
  if (i + kBlockK <= k) return LoadBytes(x);
  return vreinterpretq_s8_u8(i > 0 ? LoadLast8(x + (k - i), k - i) : LoadPartial8(x, k - i));
}

constexpr size_t kHalfRows = 4;  // of a tile
constexpr size_t kHalfBytes = kHalfRows * kBlockK;

// Packs the rows of a tile, copies of the last one beyond it: store(rows, target) for each 16 k of
// four of them, whose two halves of rows are side by side.
template <typename Store>
static PQV_INLINE void PackHalves(const uint8_t* a, size_t stride, size_t rows, size_t k,
                                  uint8_t* packed, const Store& store) {
  for (size_t first = 0; first < rows; first += kHalfRows, packed += kHalfBytes) {
    const uint8_t* row[kHalfRows];
#pragma GCC unroll 4
    for (size_t r = 0; r < kHalfRows; ++r) row[r] = a + Min(first + r, rows - 1) * stride;
    uint8_t* target = packed;
    size_t i = 0;
    for (; i + kBlockK <= k; i += kBlockK, target += 2 * kHalfBytes) {
      store(LoadBytes(row[0] + i), LoadBytes(row[1] + i), LoadBytes(row[2] + i),
            LoadBytes(row[3] + i), target);
    }
    if (i == k) continue;
    store(LoadBlock(row[0], i, k), LoadBlock(row[1], i, k), LoadBlock(row[2], i, k),
          LoadBlock(row[3], i, k), target);
  }
}

// Panels made somewhere: number i of a block is at data + i * stride.
struct PanelBlock {
  const uint8_t* data;
  size_t stride;
};

// The sums of rows of a tile by a panel. Tiles may have them in another order and with these
// functions of its own, which are all that epilogues know of sums.
template <size_t kRows>
struct Sums {
  int32x4_t row[kRows][2];
};

template <size_t kRows>
static PQV_INLINE const Sums<kRows>& InRows(const Sums<kRows>& sums) {
  return sums;
}

// The halves that UpperHalves gives, with the shifts of 8 channels.
template <size_t kRows>
static PQV_INLINE void UpperHalvesOf(const Sums<kRows>& sums, const int32_t* shift,
                                     int16x8_t (&u)[kRows]) {
  const int32x4_t low = vld1q_s32(shift);
  const int32x4_t high = vld1q_s32(shift + 4);
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
    u[r] = UpperHalves(sums.row[r][0], sums.row[r][1], low, high);
  }
}

template <size_t kRows>
static PQV_INLINE void LowerHalvesOf(const Sums<kRows>& sums, int16x8_t (&u)[kRows]) {
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
    u[r] = vuzp1q_s16(vreinterpretq_s16_s32(sums.row[r][0]), vreinterpretq_s16_s32(sums.row[r][1]));
  }
}

// 8 bytes, and the pointer a stride behind them. Compilers would compute each address apart.
static PQV_INLINE void StoreNextLow(int8_t** y, size_t stride, int8x16_t x) {
  __asm__ volatile("st1 {%1.d}[0], [%0], %2" : "+r"(*y) : "w"(x), "r"(stride) : "memory");
}

static PQV_INLINE void StoreNextHigh(int8_t** y, size_t stride, int8x16_t x) {
  __asm__ volatile("st1 {%1.d}[1], [%0], %2" : "+r"(*y) : "w"(x), "r"(stride) : "memory");
}

static PQV_INLINE int8x8_t LoadNext8(const int8_t** x, size_t stride) {
  int8x8_t y;
  __asm__ volatile("ld1 {%0.8b}, [%1], %2" : "=w"(y), "+r"(*x) : "r"(stride) : "memory");
  return y;
}

// `bytes` of each row of a tile whose rows lie one after the other. Apart, as few tiles are cut.
static __attribute__((noinline, unused)) void CopyRows(const void* tile, size_t row_bytes,
                                                       size_t rows, size_t bytes, void* y,
                                                       size_t stride) {
  for (size_t r = 0; r < rows; ++r) {
    memcpy(static_cast<uint8_t*>(y) + r * stride, static_cast<const uint8_t*>(tile) + r * row_bytes,
           bytes);
  }
}

// Stores `count` channels of the rows of a tile. All loops over rows are unrolled: with an index
// that is not constant, the rows would live in memory.

// Narrows requantized rows, two at a time.
template <size_t kRows>
static PQV_INLINE void StoreWholeRows(const int16x8_t (&u)[kRows], const Limits& limits, int8_t* y,
                                      size_t stride) {
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; r += 2) {
    const int8x16_t pair = Narrow16(u[r], u[r + 1 < kRows ? r + 1 : r], limits);
    StoreNextLow(&y, stride, pair);
    if (r + 1 < kRows) StoreNextHigh(&y, stride, pair);
  }
}

template <size_t kRows>
static __attribute__((noinline)) void StoreCutRows(const int16x8_t (&u)[kRows],
                                                   const Limits& limits, size_t count, int8_t* y,
                                                   size_t stride) {
  int8_t buffer[kRows * kPanelChannels];
  StoreWholeRows(u, limits, buffer, kPanelChannels);
  CopyRows(buffer, kPanelChannels, kRows, count, y, stride);
}

template <size_t kRows>
static PQV_INLINE void StoreRows(const int16x8_t (&u)[kRows], const Limits& limits, size_t count,
                                 int8_t* y, size_t stride) {
  if (count == kPanelChannels) return StoreWholeRows(u, limits, y, stride);
  int16x8_t copy[kRows];  // so that only this one has to be in memory
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) copy[r] = u[r];
  const Limits same = limits;
  StoreCutRows(copy, same, count, y, stride);
}

template <size_t kRows>
static PQV_INLINE void StoreRows(const Sums<kRows>& x, size_t count, int32_t* y, size_t stride) {
  if (count == kPanelChannels) {
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r, y += stride) {
      vst1q_s32(y, x.row[r][0]);
      vst1q_s32(y + 4, x.row[r][1]);
    }
    return;
  }
  int32_t buffer[kRows * kPanelChannels];
  StoreRows(x, kPanelChannels, buffer, kPanelChannels);
  constexpr size_t kBytes = sizeof(int32_t);
  CopyRows(buffer, kPanelChannels * kBytes, kRows, count * kBytes, y, stride * kBytes);
}

// Two vectors at a time, and the pointer behind them. gcc would store and load them one by one.
static PQV_INLINE void StoreNextPair(int32_t** y, int32x4_t first, int32x4_t second) {
  __asm__ volatile("stp %q1, %q2, [%0], #32" : "+r"(*y) : "w"(first), "w"(second) : "memory");
}

static PQV_INLINE void LoadNextPair(const int32_t** x, int32x4_t* first, int32x4_t* second) {
  __asm__ volatile("ldp %q0, %q1, [%2], #32" : "=w"(*first), "=w"(*second), "+r"(*x) : : "memory");
}

// Sums of a tile, row after row.
template <size_t kRows>
static PQV_INLINE void LoadSums(const int32_t* x, Sums<kRows>* sums) {
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) LoadNextPair(&x, &sums->row[r][0], &sums->row[r][1]);
}

// Adds those of rows kPartialChannels apart.
template <size_t kRows>
static PQV_INLINE void AddPartial(const int32_t* partial, Sums<kRows>* sums) {
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r, partial += kPartialChannels) {
    sums->row[r][0] = vaddq_s32(sums->row[r][0], vld1q_s32(partial));
    sums->row[r][1] = vaddq_s32(sums->row[r][1], vld1q_s32(partial + 4));
  }
}

// One pass over k of a block of channels, for a tile of rows.
struct TilePass {
  const uint8_t* rows;  // packed
  bool is_narrow;       // see Tile::PackRows
  PanelBlock panels;
  size_t groups;
  bool is_first, is_last;
  int32_t* partial;  // the tile's, [rows][kPartialChannels]
};

template <typename Tile, size_t kRows, typename Form, typename Epilogue>
static PQV_INLINE void RunTile(const TilePass& shared_pass, size_t row, size_t channel,
                               size_t channel_end, const Epilogue& epilogue) {
  const TilePass pass = shared_pass;  // a copy, which stores of int8 cannot change
  const uint8_t* panel = pass.panels.data;
  int32_t* partial = pass.partial;
  typename Epilogue::template Rows<kRows> rows(epilogue, row, channel);
  for (; channel < channel_end; channel += kPanelChannels, rows.Next()) {
    typename Tile::template Accumulator<kRows> accumulator;
    Sums<kRows> sums;
    if (pass.is_first) {
      rows.Begin(&sums);
      accumulator.Begin(sums);  // here and below, as compilers know most of what is in each
    } else {
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        sums.row[r][0] = vld1q_s32(partial + r * kPartialChannels);
        sums.row[r][1] = vld1q_s32(partial + r * kPartialChannels + 4);
      }
      accumulator.Begin(sums);
    }
    accumulator.template Add<Form>(pass.rows, pass.is_narrow, panel, pass.groups);
    if (pass.is_last) {
      rows.End(accumulator.End(), Min(channel_end - channel, kPanelChannels));
    } else {
      StoreRows(InRows(accumulator.End()), kPanelChannels, partial, kPartialChannels);
    }
    panel += pass.panels.stride;
    partial += kPanelChannels;
  }
}

// 1 <= rows <= kMaxRows. Tiles that say where their rows 4 .. 7 are packed run few rows in two
// parts, for less code.
template <typename Tile, size_t kMaxRows, typename Form, typename Epilogue>
static void RunTileOf(size_t rows, const TilePass& pass, size_t row, size_t channel,
                      size_t channel_end, const Epilogue& epilogue) {
  if constexpr (kMaxRows > kHalfRows && Tile::kLowerRowsBytes > 0) {
    if (rows < kMaxRows) {
      RunTileOf<Tile, kHalfRows, Form>(Min(rows, kHalfRows), pass, row, channel, channel_end,
                                       epilogue);
      if (rows <= kHalfRows) return;
      TilePass lower = pass;
      lower.rows += Tile::kLowerRowsBytes;
      lower.partial += kHalfRows * kPartialChannels;
      return RunTileOf<Tile, kHalfRows, Form>(rows - kHalfRows, lower, row + kHalfRows, channel,
                                              channel_end, epilogue);
    }
  } else if constexpr (kMaxRows > 1) {
    if (rows < kMaxRows) {
      return RunTileOf<Tile, kMaxRows - 1, Form>(rows, pass, row, channel, channel_end, epilogue);
    }
  }
  RunTile<Tile, kMaxRows, Form>(pass, row, channel, channel_end, epilogue);
}

// The k of a pass.
static constexpr size_t PassK(size_t k) {
  const size_t passes = k > kMaxPassK ? CeilDivide(k, kMaxPassK) : 1;
  return RoundUp(CeilDivide(k, passes), kBlockK);
}

// Packs `rows` rows of a tile, `count` k of them. Apart, as it takes room.
template <typename Tile>
static __attribute__((noinline)) bool PackTile(const Product& op, size_t row, size_t rows, size_t k,
                                               size_t count, uint8_t* packed) {
  return Tile::PackRows(op.a + row * op.a_stride + k, op.a_stride, rows, count, packed);
}

// Rows that are packed once, for all blocks of a product: pass by pass, tile after tile, and then
// what Tile::PackRows said of each.
template <typename Tile>
class PackedRows {
 public:
  PackedRows() = default;  // none

  // Of the first `tiles` tiles. k > 0.
  PackedRows(uint8_t* data, size_t tiles, size_t k)
      : data_(data), tiles_(tiles), k_(k), pass_k_(PassK(k)) {}

  static size_t Bytes(size_t tiles, size_t k) {
    return tiles * (Tile::RowsBytes(RoundUp(k, kBlockK)) + CeilDivide(k, PassK(k)));
  }

  // Rows row_begin .. row_end of `op`, which begin with a tile.
  void Pack(const Product& op) const {
    for (size_t k = 0; k < k_; k += pass_k_) {
      const Pass pass = From(k);
      for (size_t row = op.row_begin; row < op.row_end; row += Tile::kRows) {
        const size_t tile = row / Tile::kRows;
        pass.is_narrow[tile] = PackTile<Tile>(op, row, Min(op.row_end - row, Tile::kRows), k,
                                              pass.k, pass.rows + tile * pass.tile_bytes);
      }
    }
  }

  struct Pass {
    size_t tiles;
    size_t k;
    uint8_t* rows;
    size_t tile_bytes;
    uint8_t* is_narrow;  // of each tile
  };

  // The pass that begins at k.
  PQV_INLINE Pass From(size_t k) const {
    if (tiles_ == 0) return {};
    const size_t count = Min(k_ - k, pass_k_);
    uint8_t* const flags = data_ + tiles_ * Tile::RowsBytes(RoundUp(k_, kBlockK));
    return {tiles_, count, data_ + tiles_ * Tile::RowsBytes(k),
            Tile::RowsBytes(RoundUp(count, kBlockK)), flags + k / pass_k_ * tiles_};
  }

 private:
  uint8_t* data_ = nullptr;
  size_t tiles_ = 0;
  size_t k_ = 0;
  size_t pass_k_ = 0;
};

// How a block is run. Tiles that are not multiplied one by one have a driver of their own. Without
// a name, so that the linker keeps each file's, built for its own instruction set.
namespace {

template <typename Tile>
struct BlockDriver {
  template <typename Panels, typename Epilogue>
  static void Run(const Product& op, size_t row_begin, size_t row_end, const Panels& panels,
                  const Epilogue& epilogue, const PackedRows<Tile>& packed) {
    alignas(64) uint8_t scratch[kScratchBytes];
    alignas(64) uint8_t packed_here[Tile::RowsBytes(kMaxPassK)];
    alignas(64) int32_t partial[kMaxBlockRows * kPartialChannels];
    const size_t pass_k = PassK(op.k);
    const size_t fitting =
        pass_k > 0 ? kScratchBytes / pass_k / kPanelChannels * kPanelChannels : kPartialChannels;
    const size_t channels = op.k > pass_k ? Min(fitting, kPartialChannels) : fitting;
    for (size_t n = op.channel_begin; n < op.channel_end; n += channels) {
      const size_t n_end = Min(n + channels, op.channel_end);
      size_t k = 0;
      do {
        const size_t count = Min(op.k - k, pass_k);
        TilePass pass;
        pass.panels = panels.Make(n, k, n_end - n, count, scratch);
        pass.groups = CeilDivide(count, kGroupSize);
        pass.is_first = k == 0;
        pass.is_last = k + count == op.k;
        const auto packed_pass = packed.From(k);
        for (size_t row = row_begin; row < row_end; row += Tile::kRows) {
          const size_t rows = Min(row_end - row, Tile::kRows);
          if (const size_t tile = row / Tile::kRows; tile < packed_pass.tiles) {
            pass.rows = packed_pass.rows + tile * packed_pass.tile_bytes;
            pass.is_narrow = packed_pass.is_narrow[tile] != 0;
          } else {
            pass.rows = packed_here;
            pass.is_narrow = PackTile<Tile>(op, row, rows, k, count, packed_here);
          }
          pass.partial = partial + (row - row_begin) * kPartialChannels;
          RunTileOf<Tile, Tile::kRows, typename Panels::Form>(rows, pass, row, n, n_end, epilogue);
        }
        k += count;
      } while (k < op.k);
    }
  }
};

}  // namespace

// Rows [row_begin, row_end) of a block, with panels that `panels` makes of the other factor.
//
//   Tile:     Form; PackRows, Accumulator; kRows rows at a time
//   Panels:   Form; Make(n, k, channels, count, scratch) -> PanelBlock
//   Epilogue: Rows, what is done with some rows from a channel on: Begin(sums) before the products
//             of a tile, End(sums, count) after them, Next() to go on to the next 8 channels
template <typename Tile, typename Panels, typename Epilogue>
static void RunBlock(const Product& op, size_t row_begin, size_t row_end, const Panels& panels,
                     const Epilogue& epilogue, const PackedRows<Tile>& packed = {}) {
  BlockDriver<Tile>::Run(op, row_begin, row_end, panels, epilogue, packed);
}

template <typename Tile, typename Panels, typename Epilogue>
static void RunProduct(const Product& op, const Panels& panels, const Epilogue& epilogue,
                       const PackedRows<Tile>& packed = {}) {
  for (size_t row = op.row_begin; row < op.row_end; row += kMaxBlockRows) {
    RunBlock<Tile>(op, row, Min(row + kMaxBlockRows, op.row_end), panels, epilogue, packed);
  }
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_NEON_H_
