#include "kernels/layer_norm/layer_norm.h"

namespace pqv {
namespace scalar {
namespace {

template <Norm kNorm>
void RunRow(const LayerNorm& op, const int8_t* row, int8_t* y) {
  int32_t sum = 0;
  int64_t square_sum = 0;
  for (size_t c = 0; c < op.channels; ++c) {
    const int32_t x = row[c] * op.step[c];
    if (kNorm == Norm::kLayer) sum += x;
    square_sum += x * x;
  }
  const RowStatistics s = FinishStatistics(op, sum, square_sum);
  for (size_t c = 0; c < op.channels; ++c) {
    const int32_t centred = static_cast<int32_t>(op.channels) * row[c] * op.step[c] - s.sum;
    const int32_t normal = Saturate16(RoundShift(centred, s.normal_shift)) * s.reciprocal;
    int32_t u = Requantize(normal, op.requantizer.shift[c], op.requantizer.multiplier[c]);
    if (kNorm == Norm::kLayer) u = Saturate16(u + op.bias[c]);
    y[c] = Narrow(u, op.y_bits);
  }
}

template <Norm kNorm>
void RunRows(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  for (size_t r = 0; r < rows; ++r) RunRow<kNorm>(op, x + r * op.channels, y + r * op.channels);
}

}  // namespace

void RunNorm(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  const auto run_rows = op.norm == Norm::kLayer ? RunRows<Norm::kLayer> : RunRows<Norm::kRms>;
  run_rows(op, x, rows, y);
}

}  // namespace scalar
}  // namespace pqv
