#include "kernels/gemm/driver_avx512vnni.h"
#include "kernels/weighted_mean/avx512.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kPanelColumns = 64;

// 16 * kVectors or fewer columns of V from d on.
template <size_t kVectors>
struct ColumnPanels {
  static constexpr size_t kUnit = kGroup;
  const WeightedMean& op;
  size_t d;

  PQV_INLINE void Make(size_t j, size_t count, uint8_t* panel) const {
    InterleavePanel<kVectors>(op.v + j * op.v_stride + d, op.v_stride, count, FirstLanes(op.d - d),
                              panel);
  }
};

template <size_t kVectors>
class ToMean {
 public:
  PQV_INLINE ToMean(const WeightedMean& op, size_t d, const MeanScales* scales)
      : y_(op.y + d),
        stride_(op.y_stride),
        columns_(FirstLanes(op.d - d)),
        limits_(MakeLimits(op.y_bits)),
        scales_(scales) {}

  PQV_INLINE void Begin(size_t, __m512i* sums) const {
    for (size_t v = 0; v < kVectors; ++v) sums[v] = _mm512_setzero_si512();
  }

  PQV_INLINE void End(size_t row, const __m512i* sums) const {
    StoreMean<kVectors>(scales_[row / kLanes32], row % kLanes32, sums, limits_, columns_,
                        y_ + row * stride_);
  }

 private:
  int8_t* const y_;
  const size_t stride_;
  const __mmask64 columns_;
  const Limits limits_;
  const MeanScales* const scales_;
};

template <size_t kVectors>
void RunColumns(const WeightedMean& op, const MeanScales* scales, size_t d) {
  const Product rows = {0, op.m, 0, op.d, op.n, op.w, op.w_stride};
  RunPanel<PanelSign::kSigned, kVectors>(rows, ColumnPanels<kVectors>{op, d},
                                         ToMean<kVectors>(op, d, scales));
}

// The rows of `op`, MaxRows(n) or fewer.
void RunBlock(const WeightedMean& op) {
  MeanScales scales[CeilDivide(kMaxRows, kLanes32)];
  FindScalesOfRows(op, scales);
  for (size_t d = 0; d < op.d; d += kPanelColumns) {
    if (op.d - d > kPanelColumns / 2) {
      RunColumns<4>(op, scales, d);
    } else {
      RunColumns<2>(op, scales, d);
    }
  }
}

void Clear(const WeightedMean& op) {
  for (size_t m = 0; m < op.m; ++m) memset(op.y + m * op.y_stride, 0, op.d);
}

}  // namespace

void RunWeightedMean(const WeightedMean& op) {
  if (op.n == 0) return Clear(op);
  const size_t rows = MaxRows(op.n);
  for (size_t m = 0; m < op.m; m += rows) {
    WeightedMean block = op;
    block.m = Min(op.m - m, rows);
    block.w += m * op.w_stride;
    block.y += m * op.y_stride;
    RunBlock(block);
  }
}

}  // namespace avx512vnni
}  // namespace pqv
