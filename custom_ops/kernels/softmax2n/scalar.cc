#include "kernels/common/arithmetic.h"
#include "kernels/softmax2n/softmax2n.h"

namespace pqv {
namespace scalar {
namespace {

uint8_t PowerOfTwo(int32_t distance) {
  const int32_t code = (distance + 128) >> 8;
  return static_cast<uint8_t>(code <= kSoftmaxMaxCode ? 1 << (kSoftmaxMaxCode - code) : 0);
}

uint8_t Uniform(int32_t distance) {
  const int32_t whole = distance >> 8;
  const int32_t x = (distance & 255) * 128;
  const int32_t fraction = kSoftmaxOne - MulQ15(x, kSoftmaxSlope - MulQ15(x, kSoftmaxCurve));
  const int shift = whole < kSoftmaxMaxShift ? whole : kSoftmaxMaxShift;
  return static_cast<uint8_t>(MulQ15(fraction, 256 >> shift));
}

uint8_t Weight(const Softmax2n& op, int64_t difference) {
  const int32_t distance = MulQ15(Saturate16(difference), op.multiplier);
  return op.log2 ? PowerOfTwo(distance) : Uniform(distance);
}

void RunRow(const Softmax2n& op, const int32_t* x, size_t n, uint8_t* y) {
  int32_t max = INT32_MIN;
  for (size_t i = 0; i < n; ++i) max = x[i] > max ? x[i] : max;
  // A shift never falls, so the largest input has the largest t.
  const int64_t max_t = RoundShift(max, op.shift);
  for (size_t i = 0; i < n; ++i) y[i] = Weight(op, max_t - RoundShift(x[i], op.shift));
}

void RunBiasRow(const Softmax2n& op, const int32_t* x, const int16_t* bias, const uint8_t* mask,
                size_t n, uint8_t* y) {
  int64_t max = INT64_MIN;
  for (size_t i = 0; i < n; ++i) {
    if (mask[i] != 0) continue;
    const int64_t t = RoundShift(x[i], op.shift) + bias[i];
    max = t > max ? t : max;
  }
  for (size_t i = 0; i < n; ++i) {
    y[i] = mask[i] != 0 ? 0 : Weight(op, max - (RoundShift(x[i], op.shift) + bias[i]));
  }
}

}  // namespace

void RunSoftmax2n(const Softmax2n& op, const SoftmaxRows<int32_t>& rows) {
  for (size_t row = 0; row < rows.rows; ++row) {
    RunRow(op, rows.x + row * rows.x_stride, rows.n, rows.y + row * rows.y_stride);
  }
}

void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y) {
  for (size_t offset = 0; offset < rows * n; offset += n) {
    RunBiasRow(op, x + offset, bias + offset, mask + offset, n, y + offset);
  }
}

}  // namespace scalar
}  // namespace pqv
