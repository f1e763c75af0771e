// Tiles of an int8 matrix product with AMX, for files built with AMX flags.
//
// All tiles are whole: 16 rows of 64 bytes. Eight of them: 0 .. 3 sums (2 x 2), 4 and 5 rows, 6 and
// 7 panel. Tile registers belong to the thread, so every task configures and releases them.

#ifndef PQV_KERNELS_COMMON_TILE_AMX_H_
#define PQV_KERNELS_COMMON_TILE_AMX_H_

#include <string.h>

#include "kernels/common/fixed_point_avx512.h"

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

// 32 or 16 rows, from `first` and `second` on, by 32 channels: adds k products to the tiles 0 .. 3.
// Calls between() after each step of k: other work for the core while the tiles multiply.
template <RowSign kSign, bool kHasSecond, typename Between>
static PQV_INLINE void Accumulate(const RowSource& a, size_t first, size_t second, size_t k,
                                  const PanelSource& panel, const Between& between) {
  MemoryIsRead();
  const size_t whole = k / kTileK * kTileK;
  for (size_t i = 0; i < k; i += kTileK) {
    const bool is_whole = i < whole;
    const uint8_t* rows = is_whole ? a.data + i : a.tails;
    const size_t stride = is_whole ? a.stride : kTileK;
    const uint8_t* b = panel.data + i / 4 * panel.step;
    _tile_loadd(6, b, panel.step);
    _tile_loadd(4, rows + first * stride, stride);
    PQV_TILE_DOT(kSign, 0, 4, 6);
    _tile_loadd(7, b + 64, panel.step);
    PQV_TILE_DOT(kSign, 1, 4, 7);
    if constexpr (kHasSecond) {
      _tile_loadd(5, rows + second * stride, stride);
      PQV_TILE_DOT(kSign, 2, 5, 6);
      PQV_TILE_DOT(kSign, 3, 5, 7);
    }
    between();
  }
}

// Sums of two rows of tiles: 16 rows from `first` and 16 from `second` on, `stride` int32 apart.
struct SumTarget {
  int32_t* first;
  int32_t* second;
  size_t stride;
};

template <bool kHasSecond>
static PQV_INLINE void LoadSums(const SumTarget& sums) {
  const size_t stride = sums.stride * sizeof(int32_t);
  MemoryIsRead();
  _tile_loadd(0, sums.first, stride);
  _tile_loadd(1, sums.first + kTileLanes, stride);
  if constexpr (kHasSecond) {
    _tile_loadd(2, sums.second, stride);
    _tile_loadd(3, sums.second + kTileLanes, stride);
  }
}

template <bool kHasSecond>
static PQV_INLINE void StoreSums(const SumTarget& sums) {
  const size_t stride = sums.stride * sizeof(int32_t);
  _tile_stored(0, sums.first, stride);
  _tile_stored(1, sums.first + kTileLanes, stride);
  if constexpr (kHasSecond) {
    _tile_stored(2, sums.second, stride);
    _tile_stored(3, sums.second + kTileLanes, stride);
  }
}

static PQV_INLINE void ZeroSums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
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
  const size_t first = avx512::Min(row, last);
  const size_t second = avx512::Min(row + kTileRows, last);
  return {first, second, row + kTileRows < rows};
}

}  // namespace amx
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_TILE_AMX_H_
