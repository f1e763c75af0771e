#include "kernels/gate/gate.h"

#include "bindings/ops.h"
#include "kernels/common/fixed_point.h"

namespace pqv {
namespace {

constexpr size_t kA = 0;
constexpr size_t kB = 1;
constexpr size_t kBlock = 4096;  // elements that a task takes at least
constexpr size_t kElementCost = 8;

class GateNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.gate;
    PQV_RETURN_IF_ERROR(reader.Int("a_zero_point", INT8_MIN, INT8_MAX, &op_.a_zero_point));
    PQV_RETURN_IF_ERROR(reader.Int("b_zero_point", INT8_MIN, INT8_MAX, &op_.b_zero_point));
    PQV_RETURN_IF_ERROR(reader.Int("shift", kMinShift, kMaxShift, &op_.shift));
    PQV_RETURN_IF_ERROR(reader.Int("multiplier", 1, kMaxMultiplier, &op_.multiplier));
    return reader.YBits(&op_.y_bits);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView a, b;
    PQV_RETURN_IF_ERROR(context.Input(kA, 0, &a));
    PQV_RETURN_IF_ERROR(context.Input(kB, 0, &b));
    if (!SameShape(a.shape, b.shape)) {
      return Error(context.id(), "input %s has shape %s, expected that of input %s, %s",
                   context.InputName(kB), ShapeText(b.shape).text, context.InputName(kA),
                   ShapeText(a.shape).text);
    }
    size_t count = 0;
    PQV_RETURN_IF_ERROR(context.Count(kA, a.shape, 0, a.shape.rank, &count));
    int8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(a.shape, &y));
    if (count == 0) return nullptr;

    const int8_t* a_data = static_cast<const int8_t*>(a.data);
    const int8_t* b_data = static_cast<const int8_t*>(b.data);
    const size_t blocks = (count + kBlock - 1) / kBlock;
    return context.ParallelRanges(blocks, kBlock * kElementCost, [&](size_t begin, size_t end) {
      const size_t first = begin * kBlock;
      const size_t last = end == blocks ? count : end * kBlock;
      run_(op_, a_data + first, b_data + first, last - first, y + first);
    });
  }

 private:
  void (*run_)(const Gate&, const int8_t*, const int8_t*, size_t, int8_t*) = nullptr;
  Gate op_ = {};
};

}  // namespace

const OpDefinition kIntGateOp = {
    "IntGate", 2, {{"A", kInt8}, {"B", kInt8}}, kInt8, PQV_OP_CALLBACKS(GateNode)};

}  // namespace pqv
