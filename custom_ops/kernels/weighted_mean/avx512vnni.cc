#include "kernels/common/tile_avx512vnni.h"
#include "kernels/weighted_mean/avx512.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kBlockRows = 198;  // rows that share a panel
constexpr size_t kPanelColumns = 64;

// 16 * kVectors or fewer columns from d on of rows from m on.
template <size_t kVectors>
void RunPanel(const WeightedMean& op, const MeanScales* scales, size_t m, size_t rows, size_t d) {
  constexpr size_t kColumns = kLanes32 * kVectors;
  alignas(64) uint8_t panel[kMaxPanelK * kColumns];
  alignas(64) int32_t partial[kBlockRows * kColumns];
  const __mmask64 columns = FirstLanes(Min(op.d - d, kColumns));
  const Limits limits = MakeLimits(op.y_bits);
  const size_t pass = PassSize(op.n, kMaxPanelK, kGroup);
  for (size_t j = 0; j < op.n; j += pass) {
    const size_t count = Min(op.n - j, pass);
    const bool is_first = j == 0;
    const bool is_last = j + count == op.n;
    InterleavePanel<kVectors>(op.v + j * op.v_stride + d, op.v_stride, count, columns, panel);
    const auto begin = [&](size_t r, __m512i* sums) __attribute__((always_inline)) {
      for (size_t v = 0; v < kVectors; ++v) {
        sums[v] = is_first ? _mm512_setzero_si512()
                           : _mm512_load_si512(partial + r * kColumns + kLanes32 * v);
      }
    };
    const auto end = [&](size_t r, const __m512i* sums) __attribute__((always_inline)) {
      if (is_last) {
        int8_t* y = op.y + (m + r) * op.y_stride + d;
        return StoreMean<kVectors>(scales[r / kLanes32], r % kLanes32, sums, limits, columns, y);
      }
      for (size_t v = 0; v < kVectors; ++v) {
        _mm512_store_si512(partial + r * kColumns + kLanes32 * v, sums[v]);
      }
    };
    RunRows<PanelSign::kSigned, kVectors>(op.w + m * op.w_stride + j, op.w_stride, rows, count,
                                          panel, begin, end);
  }
}

void Clear(const WeightedMean& op) {
  for (size_t m = 0; m < op.m; ++m) memset(op.y + m * op.y_stride, 0, op.d);
}

}  // namespace

void RunWeightedMean(const WeightedMean& op) {
  if (op.n == 0) return Clear(op);
  MeanScales scales[(kBlockRows + kLanes32 - 1) / kLanes32];
  for (size_t m = 0; m < op.m; m += kBlockRows) {
    const size_t rows = Min(op.m - m, kBlockRows);
    FindScalesOfRows(op, m, rows, scales);
    for (size_t d = 0; d < op.d; d += kPanelColumns) {
      if (op.d - d > kPanelColumns / 2) {
        RunPanel<4>(op, scales, m, rows, d);
      } else {
        RunPanel<2>(op, scales, m, rows, d);
      }
    }
  }
}

}  // namespace avx512vnni
}  // namespace pqv
