// Tiles of an int8 matrix product with AMX, for files built with AMX flags.
//
// All tiles are whole: 16 rows of 64 bytes. Eight of them: 0 .. 3 are sums, the others rows and
// panel. Tile registers belong to the thread, so every task configures and releases them.

#ifndef PQV_KERNELS_GEMM_TILE_AMX_H_
#define PQV_KERNELS_GEMM_TILE_AMX_H_

#include <string.h>

#include "kernels/common/arithmetic_avx512.h"

namespace pqv {
namespace amx {

constexpr size_t kTileRows = 16;
constexpr size_t kTileK = 64;      // k of a tile of rows: 16 groups of 4 of a tile of the panel
constexpr size_t kTileLanes = 16;  // int32 channels of a tile of the panel or of sums

// The tile intrinsics of gcc do not tell the compiler what memory they read. This does.
static PQV_INLINE void MemoryIsRead() { __asm__ volatile("" ::: "memory"); }

// Whole tiles for the life of the object.
class TileScope {
 public:
  TileScope() {
    struct alignas(64) {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t bytes_per_row[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (size_t i = 0; i < 8; ++i) {
      config.bytes_per_row[i] = 64;
      config.rows[i] = kTileRows;
    }
    MemoryIsRead();
    _tile_loadconfig(&config);
  }
  ~TileScope() { _tile_release(); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

// Rows of bytes whose k is no multiple of kTileK continue in a zero-padded copy of their ends.
struct RowSource {
  const uint8_t* data;
  size_t stride;
  const uint8_t* tails;  // kTileK bytes per row
};

enum class RowSign { kSigned, kUnsigned };

#define PQV_TILE_DOT(sign, sums, rows, panel)   \
  do {                                          \
    if constexpr ((sign) == RowSign::kSigned) { \
      _tile_dpbssd(sums, rows, panel);          \
    } else {                                    \
      _tile_dpbusd(sums, rows, panel);          \
    }                                           \
  } while (false)

// A pair of adjacent tiles of the panel: step g of 4 k is at panel + g * step, the second tile 64
// bytes later.
struct PanelSource {
  const uint8_t* data;
  size_t step;
};

// Where the sums of a block are: of 16 rows from `first` and, unless it is null, 16 from `second`
// on, 32 channels each, rows `stride` int32 apart.
struct SumTarget {
  int32_t* first;
  int32_t* second;
  size_t stride;
};

// The sums that the tiles 0 .. 3 hold. They are stored tile by tile between the first products of
// the next block, whose loads are under way by then; stored at once, they would leave the
// multiplier idle.
class PendingSums {
 public:
  // Begins a block. Where it has sums already it adds to them.
  void Next(const SumTarget& target, bool has_sums) {
    previous_ = target_;
    target_ = target;
    has_sums_ = has_sums;
  }

#define PQV_NEXT_TILE(tile, row, channel)                                                \
  do {                                                                                   \
    const size_t stride = target_.stride * sizeof(int32_t);                              \
    if (previous_.row != nullptr) {                                                      \
      _tile_stored(tile, previous_.row + (channel), previous_.stride * sizeof(int32_t)); \
    }                                                                                    \
    if (has_sums_) {                                                                     \
      _tile_loadd(tile, target_.row + (channel), stride);                                \
    } else {                                                                             \
      _tile_zero(tile);                                                                  \
    }                                                                                    \
  } while (false)

  PQV_INLINE void Next0() const { PQV_NEXT_TILE(0, first, 0); }
  PQV_INLINE void Next1() const { PQV_NEXT_TILE(1, first, kTileLanes); }
  template <bool kHasSecond>
  PQV_INLINE void Next2() const {
    if constexpr (kHasSecond) {
      PQV_NEXT_TILE(2, second, 0);
    } else if (previous_.second != nullptr) {
      _tile_stored(2, previous_.second, previous_.stride * sizeof(int32_t));
    }
  }
  template <bool kHasSecond>
  PQV_INLINE void Next3() const {
    if constexpr (kHasSecond) {
      PQV_NEXT_TILE(3, second, kTileLanes);
    } else if (previous_.second != nullptr) {
      _tile_stored(3, previous_.second + kTileLanes, previous_.stride * sizeof(int32_t));
    }
  }
#undef PQV_NEXT_TILE

  // Stores the sums of the last block.
  PQV_INLINE void Store() {
    const size_t stride = target_.stride * sizeof(int32_t);
    _tile_stored(0, target_.first, stride);
    _tile_stored(1, target_.first + kTileLanes, stride);
    if (target_.second != nullptr) {
      _tile_stored(2, target_.second, stride);
      _tile_stored(3, target_.second + kTileLanes, stride);
    }
    target_ = {};
  }

 private:
  SumTarget previous_ = {};
  SumTarget target_ = {};
  bool has_sums_ = false;
};

// A block of sums, 32 or 16 rows from `first` and `second` on by 32 channels: adds k > 0 products.
// Calls between(i) after step i of k: other work for the core while the tiles multiply.
template <RowSign kSign, bool kHasSecond, typename Between>
static PQV_INLINE void Accumulate(const RowSource& a, size_t first, size_t second, size_t k,
                                  const PanelSource& panel, const PendingSums& sums,
                                  const Between& between) {
  const size_t whole = k / kTileK * kTileK;
  for (size_t i = 0; i < k; i += kTileK) {
    const bool is_whole = i < whole;
    const uint8_t* rows = is_whole ? a.data + i : a.tails;
    const size_t stride = is_whole ? a.stride : kTileK;
    const uint8_t* b = panel.data + i / 4 * panel.step;
    MemoryIsRead();
    _tile_loadd(6, b, panel.step);
    _tile_loadd(4, rows + first * stride, stride);
    _tile_loadd(7, b + 64, panel.step);
    if constexpr (kHasSecond) _tile_loadd(5, rows + second * stride, stride);
    if (i == 0) sums.Next0();
    PQV_TILE_DOT(kSign, 0, 4, 6);
    if (i == 0) sums.Next1();
    PQV_TILE_DOT(kSign, 1, 4, 7);
    if (i == 0) sums.template Next2<kHasSecond>();
    if constexpr (kHasSecond) PQV_TILE_DOT(kSign, 2, 5, 6);
    if (i == 0) sums.template Next3<kHasSecond>();
    if constexpr (kHasSecond) PQV_TILE_DOT(kSign, 3, 5, 7);
    between(i / kTileK);
  }
}

// The same for 16 rows from `row` on by 64 channels, whose tiles of the panel are side by side.
// Rows are loaded half as often as by blocks of 32 x 32, the panel twice as often. The sums' target
// has its second half 32 channels behind the first.
template <typename Between>
static PQV_INLINE void AccumulateWide(const RowSource& a, size_t row, size_t k,
                                      const PanelSource& panel, const PendingSums& sums,
                                      const Between& between) {
  const size_t whole = k / kTileK * kTileK;
  for (size_t i = 0; i < k; i += kTileK) {
    const bool is_whole = i < whole;
    const uint8_t* rows = is_whole ? a.data + i : a.tails;
    const size_t stride = is_whole ? a.stride : kTileK;
    const uint8_t* b = panel.data + i / 4 * panel.step;
    MemoryIsRead();
    _tile_loadd(4, rows + row * stride, stride);
    _tile_loadd(5, b, panel.step);
    _tile_loadd(6, b + 64, panel.step);
    _tile_loadd(7, b + 128, panel.step);
    if (i == 0) sums.Next0();
    _tile_dpbssd(0, 4, 5);
    _tile_loadd(5, b + 192, panel.step);
    if (i == 0) sums.Next1();
    _tile_dpbssd(1, 4, 6);
    if (i == 0) sums.template Next2<true>();
    _tile_dpbssd(2, 4, 7);
    if (i == 0) sums.template Next3<true>();
    _tile_dpbssd(3, 4, 5);
    between(i / kTileK);
  }
}

// Copies what is left of rows after their whole tiles of k.
static inline void CopyTails(const uint8_t* a, size_t stride, size_t rows, size_t k,
                             uint8_t* tails) {
  const size_t whole = k / kTileK * kTileK;
  if (whole == k) return;
  const __mmask64 lanes = avx512::FirstLanes(k - whole);
  for (size_t r = 0; r < rows; ++r) {
    const __m512i tail = _mm512_maskz_loadu_epi8(lanes, a + r * stride + whole);
    _mm512_store_si512(tails + r * kTileK, tail);
  }
}

// How 16 or more rows are covered by whole tiles: the last ones overlap those before, whose rows
// are computed twice.
struct RowPair {
  size_t first;
  size_t second;
  bool has_second;
};

static PQV_INLINE RowPair PairAt(size_t row, size_t rows) {
  const size_t last = rows - kTileRows;
  const size_t first = Min(row, last);
  const size_t second = Min(row + kTileRows, last);
  return {first, second, row + kTileRows < rows};
}

}  // namespace amx
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_AMX_H_
