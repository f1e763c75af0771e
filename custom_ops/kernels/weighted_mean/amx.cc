#include "kernels/gemm/tile_amx.h"
#include "kernels/weighted_mean/avx512.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace amx {
namespace {

using namespace avx512;

constexpr size_t kMaxN = 512;  // 32 KiB of a panel stay in L1; beyond, AVX512-VNNI will do
constexpr size_t kMinN = 64;   // fewer leave a tile of k half empty, and AVX512-VNNI is faster
constexpr size_t kPanelColumns = 64;
constexpr size_t kStep = 4;  // rows of V in a step of the panel

// The columns of V that a panel holds.
template <size_t kVectors>
class Panel {
 public:
  static constexpr size_t kColumns = kLanes32 * kVectors;

  Panel(const WeightedMean& op, size_t d)
      : op_(op), d_(d), columns_(FirstLanes(Min(op.d - d, kColumns))) {
    const size_t steps = CeilDivide(op.n, kStep);
    const size_t padded = RoundUp(steps, kTileRows);
    InterleavePanel<kVectors>(op.v + d, op.v_stride, op.n, columns_, data_);
    memset(data_ + steps * kVectors * 64, 0, (padded - steps) * kVectors * 64);
  }

  // 16 or 32 rows; tails are those of row 0 on.
  template <bool kHasSecond>
  PQV_INLINE void Run(const RowSource& w, const RowPair& pair, const MeanScales* scales) const {
    alignas(64) int32_t sums[2 * kTileRows * kColumns];
    PendingSums tiles;
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; v += 2) {
      int32_t* const first = sums + kLanes32 * v;
      tiles.Next({first, kHasSecond ? first + kTileRows * kColumns : nullptr, kColumns}, false);
      Accumulate<RowSign::kUnsigned, kHasSecond>(
          w, pair.first, pair.second, op_.n, {data_ + v * 64, kVectors * 64}, tiles, [](size_t) {});
    }
    tiles.Store();
    Store(pair.first, scales, sums);
    if (kHasSecond) Store(pair.second, scales, sums + kTileRows * kColumns);
  }

 private:
  PQV_INLINE void Store(size_t row, const MeanScales* scales, const int32_t* sums) const {
    const Limits limits = MakeLimits(op_.y_bits);
    for (size_t r = 0; r < kTileRows; ++r) {
      __m512i vectors[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        vectors[v] = _mm512_load_si512(sums + r * kColumns + kLanes32 * v);
      }
      int8_t* y = op_.y + (row + r) * op_.y_stride + d_;
      StoreMean<kVectors>(scales[(row + r) / kLanes32], (row + r) % kLanes32, vectors, limits,
                          columns_, y);
    }
  }

  const WeightedMean& op_;
  size_t d_;
  __mmask64 columns_;
  alignas(64) uint8_t data_[kMaxN * kColumns];
};

constexpr size_t kBlockRows = 208;  // rows that share a panel

template <size_t kVectors>
void RunColumns(const WeightedMean& op, const RowSource& w, size_t rows, const MeanScales* scales,
                size_t d) {
  const Panel<kVectors> panel(op, d);
  for (size_t row = 0; row < rows; row += 2 * kTileRows) {
    const RowPair pair = PairAt(row, rows);
    if (pair.has_second) {
      panel.template Run<true>(w, pair, scales);
    } else {
      panel.template Run<false>(w, pair, scales);
    }
  }
}

void RunBlock(const WeightedMean& op) {
  alignas(64) uint8_t tails[kBlockRows * kTileK];
  MeanScales scales[kBlockRows / kLanes32];
  FindScalesOfRows(op, scales);
  CopyTails(op.w, op.w_stride, op.m, op.n, tails);
  const RowSource w = {op.w, op.w_stride, tails};
  for (size_t d = 0; d < op.d; d += kPanelColumns) {
    if (op.d - d > kPanelColumns / 2) {
      RunColumns<4>(op, w, op.m, scales, d);
    } else {
      RunColumns<2>(op, w, op.m, scales, d);
    }
  }
}

}  // namespace

void RunWeightedMean(const WeightedMean& op) {
  if (op.m < kTileRows || op.n < kMinN || op.n > kMaxN) return avx512vnni::RunWeightedMean(op);
  const TileScope tiles;
  for (size_t m = 0; m < op.m; m += kBlockRows) {
    WeightedMean block = op;
    const size_t first = Min(m, op.m - kTileRows);
    block.m = Min(op.m - first, kBlockRows);
    block.w += first * op.w_stride;
    block.y += first * op.y_stride;
    RunBlock(block);
  }
}

}  // namespace amx
}  // namespace pqv
