#include "kernels/gelu/gelu.h"

#include "bindings/ops.h"

namespace pqv {
namespace {

constexpr size_t kX = 0;
constexpr size_t kTable = 1;
constexpr size_t kBlock = 4096;  // elements that a task takes at least
constexpr size_t kElementCost = 16;

class GeluNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.gelu;
    return reader.Channels(kTable, kGeluTableSize, INT8_MIN, INT8_MAX, &table_);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x;
    PQV_RETURN_IF_ERROR(context.Input(kX, 0, &x));
    size_t count = 0;
    PQV_RETURN_IF_ERROR(context.Count(kX, x.shape, 0, x.shape.rank, &count));
    int8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(x.shape, &y));
    if (count == 0) return nullptr;

    const int8_t* x_data = static_cast<const int8_t*>(x.data);
    const size_t blocks = (count + kBlock - 1) / kBlock;
    return context.ParallelRanges(blocks, kBlock * kElementCost, [&](size_t begin, size_t end) {
      const size_t first = begin * kBlock;
      const size_t last = end == blocks ? count : end * kBlock;
      run_(table_.data(), {1, last - first, 0, x_data + first, y + first});
    });
  }

 private:
  void (*run_)(const int8_t* table, const GeluBlock& block) = nullptr;
  Array<int8_t> table_;
};

}  // namespace

const OpDefinition kIntGeluOp = {
    "IntGELU", 2, {{"X", kInt8}, {"table", kInt8}}, kInt8, PQV_OP_CALLBACKS(GeluNode)};

}  // namespace pqv
