#include "kernels/weighted_mean/weighted_mean.h"

#include "bindings/ops.h"
#include "kernels/common/arithmetic.h"

namespace pqv {
namespace {

class WeightedMeanNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.weighted_mean;
    PQV_RETURN_IF_ERROR(reader.Int("shift", &op_.shift));
    PQV_RETURN_IF_ERROR(reader.Int("multiplier", &op_.multiplier));
    return reader.Int("y_bits", &op_.y_bits);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView w, v;
    PQV_RETURN_IF_ERROR(context.Input("W", &w));
    PQV_RETURN_IF_ERROR(context.Input("V", &v));
    size_t batches = 0;
    PQV_RETURN_IF_ERROR(context.SameBatches(w, v, &batches));
    const size_t rank = w.shape.rank;
    const size_t m = static_cast<size_t>(w.shape.dims[rank - 2]);
    const size_t n = static_cast<size_t>(w.shape.Last());
    const size_t d = static_cast<size_t>(v.shape.Last());
    PQV_RETURN_IF_ERROR(context.ExpectDimension(v, rank - 2, n));
    if (n > kMaxReduction) {
      return Error(context.id(), "input W has shape %s, expected N of at most %zu",
                   ShapeText(w.shape).text, kMaxReduction);
    }
    Shape y_shape = w.shape;
    y_shape.dims[rank - 1] = v.shape.Last();
    int8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(y_shape, &y));
    if (batches == 0 || m == 0 || d == 0) return nullptr;

    const uint8_t* w_data = static_cast<const uint8_t*>(w.data);
    const int8_t* v_data = static_cast<const int8_t*>(v.data);
    const auto run_rows = [&](size_t batch, size_t first, size_t rows) {
      const size_t row = batch * m + first;
      WeightedMean op = op_;
      op.m = rows;
      op.n = n;
      op.d = d;
      op.w = w_data + row * n;
      op.w_stride = n;
      op.v = v_data + batch * n * d;
      op.v_stride = d;
      op.y = y + row * d;
      op.y_stride = d;
      run_(op);
    };
    return context.ParallelMatrices(batches, m, n * d, run_rows);
  }

 private:
  void (*run_)(const WeightedMean& op) = nullptr;
  WeightedMean op_ = {};
};

}  // namespace

PQV_DEFINE_OP(IntWeightedMean, WeightedMeanNode);

}  // namespace pqv
