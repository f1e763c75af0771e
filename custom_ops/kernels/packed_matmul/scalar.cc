#include "kernels/common/arithmetic.h"
#include "kernels/packed_matmul/layout.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace scalar {
namespace {

// The weights of one channel side by side, like the activations of a row.
template <int kBits>
void ReadChannel(const PackedMatMul& op, size_t n, int8_t* weights) {
  for (size_t i = 0; i < op.k; ++i) weights[i] = WeightAt(op.weights, kBits, op.k, i, n);
}

int32_t Accumulate(const PackedMatMul& op, const int8_t* a, const int8_t* weights, size_t n) {
  int32_t sum = 0;
  for (size_t i = 0; i < op.k; ++i) sum += a[i] * weights[i];
  return sum + op.bias[n];
}

template <int kBits>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  int8_t weights[kMaxReduction];
  for (size_t n = block.channel_begin; n < block.channel_end; ++n) {
    ReadChannel<kBits>(op, n, weights);
    for (size_t row = block.row_begin; row < block.row_end; ++row) {
      const int32_t sum = Accumulate(op, block.a + row * block.a_stride, weights, n);
      int32_t u = Requantize(sum, op.requantizer.shift[n], op.requantizer.multiplier[n]);
      if (op.residual_multiplier != nullptr) {
        const size_t residual = row % block.residual_rows * block.residual_stride + n;
        u = Saturate16(u + MulQ15(block.residual[residual] * 256, op.residual_multiplier[n]));
      }
      y[row * block.y_stride + n] = Narrow(u, op.y_bits);
    }
  }
}

void RunToInt32(const PackedMatMul& op, const PackedMatMulBlock& block, int32_t* y) {
  int8_t weights[kMaxReduction];
  for (size_t n = block.channel_begin; n < block.channel_end; ++n) {
    ReadChannel<8>(op, n, weights);
    for (size_t row = block.row_begin; row < block.row_end; ++row) {
      const int8_t* a = block.a + row * block.a_stride;
      y[row * block.y_stride + n] = Accumulate(op, a, weights, n);
    }
  }
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = {1, 1, Run<4>, nullptr};
const PackedMatMulKernel kPackedInt8MatMul = {1, 1, Run<8>, RunToInt32};

}  // namespace scalar
}  // namespace pqv
