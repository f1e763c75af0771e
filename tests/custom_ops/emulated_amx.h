// Tiles of AMX in plain C++, so that its kernels can be run on a CPU with AVX512-VNNI alone.
//
// Included before everything else where PQV_EMULATE is on. All tiles are whole, as those of
// kernels/gemm/tile_amx.h.

#ifndef PQV_TESTS_CUSTOM_OPS_EMULATED_AMX_H_
#define PQV_TESTS_CUSTOM_OPS_EMULATED_AMX_H_

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace pqv {
namespace emulated_amx {

constexpr size_t kRows = 16;
constexpr size_t kBytes = 64;  // of a row

struct Tile {
  uint8_t row[kRows][kBytes];
};

static thread_local Tile tiles[8];

static inline void Load(int tile, const void* memory, ptrdiff_t stride) {
  for (size_t r = 0; r < kRows; ++r) {
    memcpy(tiles[tile].row[r],
           static_cast<const char*>(memory) + static_cast<ptrdiff_t>(r) * stride, kBytes);
  }
}

static inline void Store(int tile, void* memory, ptrdiff_t stride) {
  for (size_t r = 0; r < kRows; ++r) {
    memcpy(static_cast<char*>(memory) + static_cast<ptrdiff_t>(r) * stride, tiles[tile].row[r],
           kBytes);
  }
}

static inline void Zero(int tile) { tiles[tile] = {}; }

// sums[m][n] += a[m][4 g + i] * b[g][4 n + i]; bytes of b are signed, those of a of type A.
template <typename A>
static inline void Multiply(int sums, int a, int b) {
  for (size_t m = 0; m < kRows; ++m) {
    int32_t row[kBytes / 4];
    memcpy(row, tiles[sums].row[m], kBytes);
    for (size_t i = 0; i < kBytes; ++i) {
      const int x = static_cast<A>(tiles[a].row[m][i]);
      for (size_t n = 0; n < kBytes / 4; ++n) {
        row[n] += x * static_cast<int8_t>(tiles[b].row[i / 4][4 * n + i % 4]);
      }
    }
    memcpy(tiles[sums].row[m], row, kBytes);
  }
}

}  // namespace emulated_amx
}  // namespace pqv

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbssd
#undef _tile_dpbusd
#define _tile_loadconfig(config) static_cast<void>(config)
#define _tile_release() static_cast<void>(0)
#define _tile_loadd(tile, memory, stride) ::pqv::emulated_amx::Load(tile, memory, stride)
#define _tile_stored(tile, memory, stride) ::pqv::emulated_amx::Store(tile, memory, stride)
#define _tile_zero(tile) ::pqv::emulated_amx::Zero(tile)
#define _tile_dpbssd(sums, a, b) ::pqv::emulated_amx::Multiply<int8_t>(sums, a, b)
#define _tile_dpbusd(sums, a, b) ::pqv::emulated_amx::Multiply<uint8_t>(sums, a, b)

#endif  // PQV_TESTS_CUSTOM_OPS_EMULATED_AMX_H_
