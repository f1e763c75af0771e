#include "kernels/layer_norm/layer_norm.h"

#include "bindings/ops.h"

namespace pqv {
namespace {

constexpr size_t kX = 0;
constexpr size_t kExponent = 1;
constexpr size_t kShift = 2;
constexpr size_t kBias = 4;
constexpr int64_t kMaxEpsilon = int64_t{1} << 46;
constexpr int64_t kMaxExponent = 3;
constexpr size_t kElementCost = 32;

template <Norm kNorm>
class NormNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = kNorm == Norm::kLayer ? variant.layer_norm : variant.rms_norm;
    PQV_RETURN_IF_ERROR(reader.Int("epsilon", 0, kMaxEpsilon, &op_.epsilon));
    PQV_RETURN_IF_ERROR(reader.YBits(&op_.y_bits));
    PQV_RETURN_IF_ERROR(reader.ChannelCount(kExponent, kMaxLayerNormChannels, &op_.channels));
    Array<int8_t> exponent;
    PQV_RETURN_IF_ERROR(reader.Channels(kExponent, op_.channels, 0, kMaxExponent, &exponent));
    if (!step_.Allocate(PaddedChannels(op_.channels))) {
      return OutOfMemory(reader.id(), "the channel steps");
    }
    for (size_t c = 0; c < op_.channels; ++c) step_[c] = static_cast<int16_t>(1 << exponent[c]);
    op_.step = step_.data();
    PQV_RETURN_IF_ERROR(requantizer_.Create(reader, kShift, op_.channels));
    op_.requantizer = requantizer_.View();
    if (kNorm == Norm::kRms) return nullptr;
    PQV_RETURN_IF_ERROR(reader.Channels(kBias, op_.channels, INT16_MIN, INT16_MAX, &bias_));
    op_.bias = bias_.data();
    return nullptr;
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x;
    PQV_RETURN_IF_ERROR(context.Input(kX, 1, &x));
    PQV_RETURN_IF_ERROR(context.ExpectDimension(kX, x.shape, x.shape.rank - 1, op_.channels));
    size_t rows = 0;
    PQV_RETURN_IF_ERROR(context.Count(kX, x.shape, 0, x.shape.rank - 1, &rows));
    int8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(x.shape, &y));
    if (rows == 0) return nullptr;

    const int8_t* x_data = static_cast<const int8_t*>(x.data);
    const size_t row_cost = op_.channels * kElementCost;
    return context.ParallelRanges(rows, row_cost, [&](size_t begin, size_t end) {
      const size_t offset = begin * op_.channels;
      run_(op_, x_data + offset, end - begin, y + offset);
    });
  }

 private:
  void (*run_)(const LayerNorm&, const int8_t*, size_t, int8_t*) = nullptr;
  LayerNorm op_ = {};
  Array<int16_t> step_;
  RequantizerArrays requantizer_;
  Array<int16_t> bias_;
};

}  // namespace

const OpDefinition kIntLayerNormOp = {
    "IntLayerNorm",
    5,
    {{"X", kInt8}, {"exponent", kInt8}, {"shift", kInt8}, {"multiplier", kInt16}, {"bias", kInt16}},
    kInt8,
    PQV_OP_CALLBACKS(NormNode<Norm::kLayer>)};

const OpDefinition kIntRmsNormOp = {
    "IntRMSNorm",
    4,
    {{"X", kInt8}, {"exponent", kInt8}, {"shift", kInt8}, {"multiplier", kInt16}},
    kInt8,
    PQV_OP_CALLBACKS(NormNode<Norm::kRms>)};

}  // namespace pqv
