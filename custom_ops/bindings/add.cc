#include "kernels/add/add.h"

#include "bindings/ops.h"
#include "kernels/common/fixed_point.h"

namespace pqv {
namespace {

constexpr size_t kA = 0;
constexpr size_t kB = 1;
constexpr size_t kAMultiplier = 2;
constexpr size_t kBMultiplier = 3;
constexpr size_t kMaxChannels = size_t{1} << 24;
constexpr size_t kElementCost = 8;

class AddNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.add;
    PQV_RETURN_IF_ERROR(reader.YBits(&op_.y_bits));
    PQV_RETURN_IF_ERROR(reader.ChannelCount(kAMultiplier, kMaxChannels, &op_.channels));
    PQV_RETURN_IF_ERROR(
        reader.Channels(kAMultiplier, op_.channels, 0, kMaxMultiplier, &a_multiplier_));
    PQV_RETURN_IF_ERROR(
        reader.Channels(kBMultiplier, op_.channels, 0, kMaxMultiplier, &b_multiplier_));
    op_.a_multiplier = a_multiplier_.data();
    op_.b_multiplier = b_multiplier_.data();
    return nullptr;
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView a, b;
    AddRows rows = {};
    PQV_RETURN_IF_ERROR(context.Input(kA, 1, &a));
    PQV_RETURN_IF_ERROR(context.ExpectDimension(kA, a.shape, a.shape.rank - 1, op_.channels));
    PQV_RETURN_IF_ERROR(context.Count(kA, a.shape, 0, a.shape.rank - 1, &rows.end));
    PQV_RETURN_IF_ERROR(context.InputOfShape(kB, a.shape, &b, &rows.b_rows));
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

const OpDefinition kIntAddOp = {
    "IntAdd",
    4,
    {{"A", kInt8}, {"B", kInt8}, {"a_multiplier", kInt16}, {"b_multiplier", kInt16}},
    kInt8,
    PQV_OP_CALLBACKS(AddNode)};

}  // namespace pqv
