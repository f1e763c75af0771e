#include "kernels/gate/gate.h"

#include "bindings/ops.h"

namespace pqv {
namespace {

constexpr size_t kElementCost = 8;

class GateNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.gate;
    PQV_RETURN_IF_ERROR(reader.Int("a_zero_point", &op_.a_zero_point));
    PQV_RETURN_IF_ERROR(reader.Int("b_zero_point", &op_.b_zero_point));
    PQV_RETURN_IF_ERROR(reader.Int("shift", &op_.shift));
    PQV_RETURN_IF_ERROR(reader.Int("multiplier", &op_.multiplier));
    return reader.Int("y_bits", &op_.y_bits);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView a, b;
    PQV_RETURN_IF_ERROR(context.Input("A", &a));
    PQV_RETURN_IF_ERROR(context.Input("B", &b));
    if (!SameShape(a.shape, b.shape)) {
      return Error(context.id(), "input %s has shape %s, expected that of input %s, %s", b.name,
                   ShapeText(b.shape).text, a.name, ShapeText(a.shape).text);
    }
    size_t count = 0;
    PQV_RETURN_IF_ERROR(context.Count(a, 0, a.shape.rank, &count));
    int8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(a.shape, &y));
    if (count == 0) return nullptr;

    const int8_t* a_data = static_cast<const int8_t*>(a.data);
    const int8_t* b_data = static_cast<const int8_t*>(b.data);
    return context.ParallelElements(count, kElementCost, [&](size_t first, size_t elements) {
      run_(op_, a_data + first, b_data + first, elements, y + first);
    });
  }

 private:
  void (*run_)(const Gate&, const int8_t*, const int8_t*, size_t, int8_t*) = nullptr;
  Gate op_ = {};
};

}  // namespace

PQV_DEFINE_OP(IntGate, GateNode);

}  // namespace pqv
