#include "kernels/softmax2n/softmax2n.h"

#include "bindings/ops.h"

namespace pqv {
namespace {

constexpr size_t kElementCost = 16;

OrtStatus* ReadAttributes(const NodeReader& reader, Softmax2n* op) {
  PQV_RETURN_IF_ERROR(reader.Int("shift", &op->shift));
  PQV_RETURN_IF_ERROR(reader.Int("multiplier", &op->multiplier));
  return reader.Int("log2", &op->log2);
}

class Softmax2nNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.softmax2n;
    return ReadAttributes(reader, &op_);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x;
    PQV_RETURN_IF_ERROR(context.Input("X", &x));
    size_t rows = 0;
    PQV_RETURN_IF_ERROR(context.Count(x, 0, x.shape.rank - 1, &rows));
    const size_t n = static_cast<size_t>(x.shape.Last());
    uint8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(x.shape, &y));
    if (rows == 0 || n == 0) return nullptr;

    const int32_t* x_data = static_cast<const int32_t*>(x.data);
    return context.ParallelRanges(rows, n * kElementCost, [&](size_t begin, size_t end) {
      run_(op_, {x_data + begin * n, n, end - begin, n, y + begin * n, n});
    });
  }

 private:
  void (*run_)(const Softmax2n&, const SoftmaxRows<int32_t>&) = nullptr;
  Softmax2n op_ = {};
};

class Softmax2nBiasNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.softmax2n_bias;
    PQV_RETURN_IF_ERROR(ReadAttributes(reader, &op_));
    PQV_RETURN_IF_ERROR(reader.ConstantShape("bias", &bias_shape_));
    PQV_RETURN_IF_ERROR(reader.ConstantShape("mask", &mask_shape_));
    if (mask_shape_.dims[1] == bias_shape_.dims[1] && mask_shape_.dims[2] == bias_shape_.dims[2]) {
      return nullptr;
    }
    return Error(reader.id(), "input mask has shape %s, expected the last two of input bias, %s",
                 ShapeText(mask_shape_).text, ShapeText(bias_shape_).text);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x, bias, mask;
    PQV_RETURN_IF_ERROR(context.Input("X", &x));
    PQV_RETURN_IF_ERROR(context.Input("bias", &bias));
    PQV_RETURN_IF_ERROR(context.Input("mask", &mask));
    const size_t rank = x.shape.rank;
    const size_t windows = static_cast<size_t>(mask_shape_.dims[0]);
    const size_t heads = static_cast<size_t>(bias_shape_.dims[0]);
    const size_t m = static_cast<size_t>(bias_shape_.dims[1]);
    const size_t n = static_cast<size_t>(bias_shape_.dims[2]);
    if (windows != 1) PQV_RETURN_IF_ERROR(context.ExpectDimension(x, rank - 4, windows));
    PQV_RETURN_IF_ERROR(context.ExpectDimension(x, rank - 3, heads));
    PQV_RETURN_IF_ERROR(context.ExpectDimension(x, rank - 2, m));
    PQV_RETURN_IF_ERROR(context.ExpectDimension(x, rank - 1, n));
    size_t matrices = 0;
    PQV_RETURN_IF_ERROR(context.Count(x, 0, rank - 2, &matrices));
    uint8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(x.shape, &y));
    if (matrices == 0 || m == 0 || n == 0) return nullptr;

    const int32_t* x_data = static_cast<const int32_t*>(x.data);
    const int16_t* bias_data = static_cast<const int16_t*>(bias.data);
    const uint8_t* mask_data = static_cast<const uint8_t*>(mask.data);
    const auto run_rows = [&](size_t matrix, size_t first, size_t rows) {
      const size_t offset = (matrix * m + first) * n;
      const size_t bias_row = matrix % heads * m + first;
      const size_t mask_row = matrix / heads % windows * m + first;
      run_(op_, x_data + offset, bias_data + bias_row * n, mask_data + mask_row * n, rows, n,
           y + offset);
    };
    return context.ParallelRows(matrices, m, n * kElementCost, run_rows);
  }

 private:
  void (*run_)(const Softmax2n&, const int32_t*, const int16_t*, const uint8_t*, size_t, size_t,
               uint8_t*) = nullptr;
  Softmax2n op_ = {};
  Shape bias_shape_ = {};  // [heads, m, n]
  Shape mask_shape_ = {};  // [windows or 1, m, n]
};

}  // namespace

PQV_DEFINE_OP(IntSoftmax2n, Softmax2nNode);
PQV_DEFINE_OP(IntSoftmax2nBias, Softmax2nBiasNode);

}  // namespace pqv
