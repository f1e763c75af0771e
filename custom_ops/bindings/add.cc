#include "kernels/add/add.h"

#include "bindings/ops.h"
#include "kernels/common/arithmetic.h"

namespace pqv {
namespace {

constexpr size_t kElementCost = 8;

class AddNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.add;
    PQV_RETURN_IF_ERROR(reader.Int("y_bits", &op_.y_bits));
    PQV_RETURN_IF_ERROR(reader.ChannelCount("a_multiplier", kMaxChannels, &op_.channels));
    PQV_RETURN_IF_ERROR(reader.Channels("a_multiplier", op_.channels, &a_multiplier_));
    PQV_RETURN_IF_ERROR(reader.Channels("b_multiplier", op_.channels, &b_multiplier_));
    op_.a_multiplier = a_multiplier_.data();
    op_.b_multiplier = b_multiplier_.data();
    return nullptr;
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView a, b;
    AddRows rows = {};
    PQV_RETURN_IF_ERROR(context.Input("A", &a));
    PQV_RETURN_IF_ERROR(context.ExpectDimension(a, a.shape.rank - 1, op_.channels));
    PQV_RETURN_IF_ERROR(context.Count(a, 0, a.shape.rank - 1, &rows.end));
    PQV_RETURN_IF_ERROR(context.InputOfShape("B", a.shape, &b, &rows.b_rows));
    PQV_RETURN_IF_ERROR(context.Output(a.shape, &rows.y));
    if (rows.end == 0) return nullptr;

    rows.a = static_cast<const int8_t*>(a.data);
    rows.b = static_cast<const int8_t*>(b.data);
    return context.ParallelRanges(rows.end, op_.channels * kElementCost,
                                  [&](size_t begin, size_t end) {
                                    AddRows part = rows;
                                    part.begin = begin;
                                    part.end = end;
                                    run_(op_, part);
                                  });
  }

 private:
  void (*run_)(const IntAdd&, const AddRows&) = nullptr;
  IntAdd op_ = {};
  Array<int16_t> a_multiplier_;
  Array<int16_t> b_multiplier_;
};

}  // namespace

PQV_DEFINE_OP(IntAdd, AddNode);

}  // namespace pqv
