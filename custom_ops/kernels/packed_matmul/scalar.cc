#include "kernels/common/fixed_point.h"
#include "kernels/packed_matmul/layout.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace scalar {
namespace {

// Weights as int8 [n][k]: both factors of a sum are contiguous.
size_t PackedBytes(size_t k, size_t n) { return k * n; }

template <int kBits>
void Pack(const void* n8k4, size_t k, size_t n, void* weights) {
  int8_t* target = static_cast<int8_t*>(weights);
  for (size_t channel = 0; channel < n; ++channel) {
    for (size_t i = 0; i < k; ++i) *target++ = WeightAt(n8k4, kBits, k, i, channel);
  }
}

int32_t Accumulate(const PackedMatMul& op, const int8_t* a, size_t channel) {
  const int8_t* weights = static_cast<const int8_t*>(op.weights) + channel * op.k;
  int32_t sum = 0;
  for (size_t i = 0; i < op.k; ++i) sum += a[i] * weights[i];
  return sum + op.bias[channel];
}

void Run(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  for (size_t row = block.row_begin; row < block.row_end; ++row) {
    const int8_t* a = block.a + row * block.a_stride;
    const int8_t* residual =
        op.residual_multiplier != nullptr
            ? block.residual + row % block.residual_rows * block.residual_stride
            : nullptr;
    for (size_t n = block.channel_begin; n < block.channel_end; ++n) {
      int32_t u =
          Requantize(Accumulate(op, a, n), op.requantizer.shift[n], op.requantizer.multiplier[n]);
      if (residual != nullptr) {
        u = Saturate16(u + MulQ15(residual[n] * 256, op.residual_multiplier[n]));
      }
      y[row * block.y_stride + n] = Narrow(u, op.y_bits);
    }
  }
}

void RunToInt32(const PackedMatMul& op, const PackedMatMulBlock& block, int32_t* y) {
  for (size_t row = block.row_begin; row < block.row_end; ++row) {
    for (size_t n = block.channel_begin; n < block.channel_end; ++n) {
      y[row * block.y_stride + n] = Accumulate(op, block.a + row * block.a_stride, n);
    }
  }
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = {1, 1, PackedBytes, Pack<4>, Run, RunToInt32};
const PackedMatMulKernel kPackedInt8MatMul = {1, 1, PackedBytes, Pack<8>, Run, RunToInt32};

}  // namespace scalar
}  // namespace pqv
