#include "kernels/int_matmul/int_matmul.h"

#include "bindings/ops.h"
#include "kernels/common/arithmetic.h"

namespace pqv {
namespace {

class IntMatMulNode {
 public:
  OrtStatus* Create(const NodeReader&, const Variant& variant) {
    run_ = variant.int_matmul;
    return nullptr;
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView a, b;
    PQV_RETURN_IF_ERROR(context.Input("A", &a));
    PQV_RETURN_IF_ERROR(context.Input("B", &b));
    size_t batches = 0;
    PQV_RETURN_IF_ERROR(context.SameBatches(a, b, &batches));
    const size_t rank = a.shape.rank;
    const size_t m = static_cast<size_t>(a.shape.dims[rank - 2]);
    const size_t n = static_cast<size_t>(b.shape.dims[rank - 2]);
    const size_t k = static_cast<size_t>(a.shape.Last());
    PQV_RETURN_IF_ERROR(context.ExpectDimension(b, rank - 1, k));
    if (k > kMaxReduction) {
      return Error(context.id(), "input A has shape %s, expected K of at most %zu",
                   ShapeText(a.shape).text, kMaxReduction);
    }
    Shape y_shape = a.shape;
    y_shape.dims[rank - 1] = b.shape.dims[rank - 2];
    int32_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(y_shape, &y));
    if (batches == 0 || m == 0 || n == 0) return nullptr;

    const int8_t* a_data = static_cast<const int8_t*>(a.data);
    const int8_t* b_data = static_cast<const int8_t*>(b.data);
    const auto run_rows = [&](size_t batch, size_t first, size_t rows) {
      const size_t row = batch * m + first;
      run_({rows, n, k, a_data + row * k, k, b_data + batch * n * k, k, y + row * n, n});
    };
    return context.ParallelMatrices(batches, m, n * k, run_rows);
  }

 private:
  void (*run_)(const IntMatMul& op) = nullptr;
};

}  // namespace

PQV_DEFINE_OP(IntMatMul, IntMatMulNode);

}  // namespace pqv
