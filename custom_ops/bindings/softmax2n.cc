#include "kernels/softmax2n/softmax2n.h"

#include "bindings/ops.h"
#include "kernels/common/fixed_point.h"

namespace pqv {
namespace {

constexpr size_t kX = 0;
constexpr size_t kElementCost = 16;

class Softmax2nNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.softmax2n;
    int log2 = 0;
    PQV_RETURN_IF_ERROR(reader.Int("shift", kMinShift, kMaxShift, &op_.shift));
    PQV_RETURN_IF_ERROR(reader.Int("multiplier", 1, kMaxMultiplier, &op_.multiplier));
    PQV_RETURN_IF_ERROR(reader.Int("log2", 0, 1, &log2));
    op_.log2 = log2 != 0;
    return nullptr;
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x;
    PQV_RETURN_IF_ERROR(context.Input(kX, 1, &x));
    size_t rows = 0;
    PQV_RETURN_IF_ERROR(context.Count(kX, x.shape, 0, x.shape.rank - 1, &rows));
    const size_t n = static_cast<size_t>(x.shape.Last());
    uint8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(x.shape, &y));
    if (rows == 0 || n == 0) return nullptr;

    const int32_t* x_data = static_cast<const int32_t*>(x.data);
    return context.ParallelRanges(rows, n * kElementCost, [&](size_t begin, size_t end) {
      run_(op_, x_data + begin * n, end - begin, n, y + begin * n);
    });
  }

 private:
  void (*run_)(const Softmax2n&, const int32_t*, size_t, size_t, uint8_t*) = nullptr;
  Softmax2n op_ = {};
};

}  // namespace

const OpDefinition kIntSoftmax2nOp = {
    "IntSoftmax2n", 1, {{"X", kInt32}}, kUint8, PQV_OP_CALLBACKS(Softmax2nNode)};

}  // namespace pqv
