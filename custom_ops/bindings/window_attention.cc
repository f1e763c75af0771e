#include "kernels/attention/window_attention.h"

#include <atomic>

#include "bindings/attention_scales.h"
#include "bindings/ops.h"
#include "bindings/scratch.h"

namespace pqv {
namespace {

class WindowAttentionNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    variant_ = &variant;
    PQV_RETURN_IF_ERROR(reader.Int("window_height", &op_.window_height));
    PQV_RETURN_IF_ERROR(reader.Int("window_width", &op_.window_width));
    PQV_RETURN_IF_ERROR(reader.Int("roll_height", &op_.roll_height));
    PQV_RETURN_IF_ERROR(reader.Int("roll_width", &op_.roll_width));
    PQV_RETURN_IF_ERROR(ReadAttentionScales(reader, &op_));
    return CreatePairs(reader);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView qkv, bias, mask;
    PQV_RETURN_IF_ERROR(context.Input("QKV", &qkv));
    PQV_RETURN_IF_ERROR(context.Input("bias", &bias));
    PQV_RETURN_IF_ERROR(context.Input("mask", &mask));
    const size_t rank = qkv.shape.rank;
    WindowAttention op = op_;
    op.height = static_cast<size_t>(qkv.shape.dims[rank - 3]);
    op.width = static_cast<size_t>(qkv.shape.dims[rank - 2]);
    const size_t channels = static_cast<size_t>(qkv.shape.Last());
    PQV_RETURN_IF_ERROR(context.ExpectMultiple(qkv, rank - 3, op.window_height));
    PQV_RETURN_IF_ERROR(context.ExpectMultiple(qkv, rank - 2, op.window_width));
    PQV_RETURN_IF_ERROR(context.ExpectMultiple(qkv, rank - 1, 3 * op.heads));
    op.depth = channels / 3 / op.heads;
    if (op.depth > kMaxReduction) {
      return Error(context.id(), "input QKV has shape %s, expected at most %zu channels of a head",
                   ShapeText(qkv.shape).text, kMaxReduction);
    }
    const size_t windows = op.height / op.window_height * (op.width / op.window_width);
    if (masks_ != 1 && masks_ != windows) {
      return Error(context.id(),
                   "input QKV has shape %s, expected as many windows as input mask, "
                   "%zu",
                   ShapeText(qkv.shape).text, masks_);
    }
    size_t images = 0;
    PQV_RETURN_IF_ERROR(context.Count(qkv, 0, rank - 3, &images));
    Shape y_shape = qkv.shape;
    y_shape.dims[rank - 1] /= 3;
    PQV_RETURN_IF_ERROR(context.Output(y_shape, &op.y));
    if (images == 0 || windows == 0 || op.depth == 0) return nullptr;
    op.qkv = static_cast<const int8_t*>(qkv.data);
    op.bias = static_cast<const int16_t*>(bias.data);
    return RunWindows(context, op, images, windows, static_cast<const uint8_t*>(mask.data));
  }

 private:
  // The constants that have a place for each pair of a window's tokens.
  OrtStatus* CreatePairs(const NodeReader& reader) {
    Shape bias, mask;
    PQV_RETURN_IF_ERROR(reader.ConstantShape("bias", &bias));
    PQV_RETURN_IF_ERROR(reader.ConstantShape("mask", &mask));
    const size_t tokens = op_.window_height * op_.window_width;
    if (tokens > kMaxReduction) {
      return Error(
          reader.id(),
          "attributes window_height and window_width give %zu tokens, expected at most %zu", tokens,
          kMaxReduction);
    }
    for (size_t axis = 1; axis < 3; ++axis) {
      if (static_cast<size_t>(bias.dims[axis]) != tokens) {
        return Error(reader.id(), "input bias has shape %s, expected %zu in dimension %zu",
                     ShapeText(bias).text, tokens, axis);
      }
      if (mask.dims[axis] != bias.dims[axis]) {
        return Error(reader.id(),
                     "input mask has shape %s, expected the last two of input bias, %s",
                     ShapeText(mask).text, ShapeText(bias).text);
      }
    }
    if (bias.dims[0] == 0) {
      return Error(reader.id(), "input bias has shape %s, expected at least one head",
                   ShapeText(bias).text);
    }
    op_.heads = static_cast<size_t>(bias.dims[0]);
    masks_ = static_cast<size_t>(mask.dims[0]);
    return nullptr;
  }

  OrtStatus* RunWindows(const RunContext& context, const WindowAttention& whole, size_t images,
                        size_t windows, const uint8_t* mask) const {
    const size_t tokens = whole.window_height * whole.window_width;
    const size_t across = whole.width / whole.window_width;
    const size_t image_y = whole.height * whole.width * whole.heads * whole.depth;
    std::atomic<bool> has_memory{true};
    const auto run_windows = [&](size_t begin, size_t end) {
      const Scratch scratch(WindowAttentionScratchBytes(*variant_, whole));
      if (scratch.data() == nullptr) return has_memory.store(false);
      for (size_t i = begin; i < end; ++i) {
        const size_t window = i % windows;
        WindowAttention op = whole;
        op.qkv += i / windows * 3 * image_y;
        op.y += i / windows * image_y;
        RunWindowAttention(*variant_, op, window / across, window % across,
                           mask + (masks_ == 1 ? 0 : window) * tokens * tokens, scratch.data());
      }
    };
    const size_t cost = 2 * tokens * tokens * whole.heads * whole.depth;
    PQV_RETURN_IF_ERROR(context.ParallelRanges(images * windows, cost, run_windows));
    return has_memory.load() ? nullptr : OutOfMemory(context.id(), "logits");
  }

  const Variant* variant_ = nullptr;
  WindowAttention op_ = {};
  size_t masks_ = 0;  // one for each window, or one for all
};

}  // namespace

PQV_DEFINE_OP(IntWindowAttention, WindowAttentionNode);

}  // namespace pqv
