#include "kernels/gelu/gelu.h"

#include "bindings/ops.h"

namespace pqv {
namespace {

constexpr size_t kElementCost = 16;

class GeluNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.gelu;
    return reader.Channels("table", kGeluTableSize, &table_);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x;
    PQV_RETURN_IF_ERROR(context.Input("X", &x));
    size_t count = 0;
    PQV_RETURN_IF_ERROR(context.Count(x, 0, x.shape.rank, &count));
    int8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(x.shape, &y));
    if (count == 0) return nullptr;

    const int8_t* x_data = static_cast<const int8_t*>(x.data);
    return context.ParallelElements(count, kElementCost, [&](size_t first, size_t elements) {
      run_(table_.data(), {1, elements, 0, x_data + first, y + first});
    });
  }

 private:
  void (*run_)(const int8_t* table, const GeluBlock& block) = nullptr;
  Array<int8_t> table_;
};

}  // namespace

PQV_DEFINE_OP(IntGELU, GeluNode);

}  // namespace pqv
