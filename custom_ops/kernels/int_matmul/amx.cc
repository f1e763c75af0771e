#include "kernels/gemm/tile_amx.h"
#include "kernels/int_matmul/avx512.h"
#include "kernels/int_matmul/int_matmul.h"

namespace pqv {
namespace amx {
namespace {

using namespace avx512;

constexpr size_t kBlockRows = 208;  // rows that share a panel
constexpr size_t kPairLanes = 32;   // channels of a pair of tiles of the panel
constexpr size_t kMaxK = 1024;      // 32 KiB of a panel stay in L1; beyond, AVX512-VNNI will do

// Rows of A and 32 channels from n on, straight into y.
void RunPanel(const IntMatMul& op, const RowSource& a, size_t rows, int32_t* y, size_t n) {
  alignas(64) uint8_t panel[kMaxK * kPairLanes];
  const PanelSource source = {panel, 2 * 64};
  for (size_t v = 0; v < 2; ++v) {
    TransposePanel(op.b + (n + kTileLanes * v) * op.b_stride, op.b_stride, kTileLanes, op.k, 0,
                   source.step, panel + 64 * v);
  }
  PendingSums tiles;
  for (size_t row = 0; row < rows; row += 2 * kTileRows) {
    const RowPair pair = PairAt(row, rows);
    int32_t* const first = y + pair.first * op.y_stride + n;
    if (pair.has_second) {
      tiles.Next({first, y + pair.second * op.y_stride + n, op.y_stride}, false);
      Accumulate<RowSign::kSigned, true>(a, pair.first, pair.second, op.k, source, tiles,
                                         [](size_t) {});
    } else {
      tiles.Next({first, nullptr, op.y_stride}, false);
      Accumulate<RowSign::kSigned, false>(a, pair.first, pair.second, op.k, source, tiles,
                                          [](size_t) {});
    }
  }
  tiles.Store();
}

}  // namespace

void RunIntMatMul(const IntMatMul& op) {
  if (op.m < kTileRows || op.n < kPairLanes || op.k == 0 || op.k > kMaxK) {
    return avx512vnni::RunIntMatMul(op);
  }
  const TileScope tiles;
  alignas(64) uint8_t tails[kBlockRows * kTileK];
  for (size_t m = 0; m < op.m; m += kBlockRows) {
    const size_t first = Min(m, op.m - kTileRows);
    const size_t rows = Min(op.m - first, kBlockRows);
    const uint8_t* a = reinterpret_cast<const uint8_t*>(op.a + first * op.a_stride);
    CopyTails(a, op.a_stride, rows, op.k, tails);
    for (size_t n = 0; n < op.n; n += kPairLanes) {
      RunPanel(op, {a, op.a_stride, tails}, rows, op.y + first * op.y_stride,
               Min(n, op.n - kPairLanes));
    }
  }
}

}  // namespace amx
}  // namespace pqv
