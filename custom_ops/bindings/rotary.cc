#include "kernels/rotary/rotary.h"

#include "bindings/ops.h"

namespace pqv {
namespace {

constexpr size_t kElementCost = 12;

class RotaryNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.rotary;
    PQV_RETURN_IF_ERROR(reader.Int("pairs", &op_.pairs));
    PQV_RETURN_IF_ERROR(reader.Int("shift", &op_.shift));
    PQV_RETURN_IF_ERROR(reader.Int("multiplier", &op_.multiplier));
    PQV_RETURN_IF_ERROR(reader.Int("y_bits", &op_.y_bits));
    return CreateTables(reader);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x;
    PQV_RETURN_IF_ERROR(context.Input("X", &x));
    const size_t rank = x.shape.rank;
    const auto table = [this](size_t axis) { return static_cast<size_t>(shape_.dims[axis]); };
    for (size_t axis = 0; axis < 2; ++axis) {
      if (table(axis) == 1) continue;
      PQV_RETURN_IF_ERROR(context.ExpectDimension(x, rank - 3 + axis, table(axis)));
    }
    PQV_RETURN_IF_ERROR(context.ExpectDimension(x, rank - 1, table(2)));
    RotaryRows rows = {};
    PQV_RETURN_IF_ERROR(context.Count(x, 0, rank - 1, &rows.end));
    PQV_RETURN_IF_ERROR(context.Output(x.shape, &rows.y));
    if (rows.end == 0 || op_.depth == 0) return nullptr;

    rows.x = static_cast<const int8_t*>(x.data);
    Rotary op = op_;
    op.repeat = table(1) == 1 ? static_cast<size_t>(x.shape.dims[rank - 2]) : 1;
    const size_t row_cost = op_.depth * kElementCost;
    return context.ParallelRanges(rows.end, row_cost, [&](size_t begin, size_t end) {
      RotaryRows part = rows;
      part.begin = begin;
      part.end = end;
      run_(op, part);
    });
  }

 private:
  OrtStatus* CreateTables(const NodeReader& reader) {
    PQV_RETURN_IF_ERROR(reader.ConstantShape("cos", &shape_));
    if (shape_.Last() % 2 != 0) {
      return Error(reader.id(), "input cos has shape %s, expected an even number in dimension 2",
                   ShapeText(shape_).text);
    }
    PQV_RETURN_IF_ERROR(reader.Constant("cos", shape_, &op_.cos));
    PQV_RETURN_IF_ERROR(reader.Constant("sin", shape_, &op_.sin));
    op_.depth = static_cast<size_t>(shape_.Last());
    if (!Product(shape_, 0, 2, &op_.table_rows)) return OutOfMemory(reader.id(), "the tables");
    return nullptr;
  }

  void (*run_)(const Rotary&, const RotaryRows&) = nullptr;
  Rotary op_ = {};
  Shape shape_ = {};  // of the tables: [heads or 1, tokens or 1, depth]
};

}  // namespace

PQV_DEFINE_OP(IntRotary, RotaryNode);

}  // namespace pqv
