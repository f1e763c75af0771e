#include "kernels/layer_norm/layer_norm.h"

#include "bindings/ops.h"

namespace pqv {
namespace {

constexpr size_t kElementCost = 32;

template <Norm kNorm>
class NormNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.norm;
    op_.norm = kNorm;
    PQV_RETURN_IF_ERROR(reader.Int("epsilon", &op_.epsilon));
    PQV_RETURN_IF_ERROR(reader.Int("y_bits", &op_.y_bits));
    PQV_RETURN_IF_ERROR(reader.ChannelCount("exponent", kMaxNormChannels, &op_.channels));
    Array<int8_t> exponent;
    PQV_RETURN_IF_ERROR(reader.Channels("exponent", op_.channels, &exponent));
    if (!step_.Allocate(PaddedChannels(op_.channels))) {
      return OutOfMemory(reader.id(), "the channel steps");
    }
    for (size_t c = 0; c < op_.channels; ++c) step_[c] = static_cast<int16_t>(1 << exponent[c]);
    op_.step = step_.data();
    PQV_RETURN_IF_ERROR(requantizer_.Create(reader, op_.channels));
    op_.requantizer = requantizer_.View();
    if (kNorm == Norm::kRms) return nullptr;
    PQV_RETURN_IF_ERROR(reader.Channels("bias", op_.channels, &bias_));
    op_.bias = bias_.data();
    return nullptr;
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x;
    PQV_RETURN_IF_ERROR(context.Input("X", &x));
    PQV_RETURN_IF_ERROR(context.ExpectDimension(x, x.shape.rank - 1, op_.channels));
    size_t rows = 0;
    PQV_RETURN_IF_ERROR(context.Count(x, 0, x.shape.rank - 1, &rows));
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

PQV_DEFINE_OP(IntLayerNorm, NormNode<Norm::kLayer>);
PQV_DEFINE_OP(IntRMSNorm, NormNode<Norm::kRms>);

}  // namespace pqv
