#include <atomic>

#include "bindings/attention_scales.h"
#include "bindings/ops.h"
#include "bindings/scratch.h"
#include "kernels/variant.h"

namespace pqv {
namespace {

class AttentionNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    variant_ = &variant;
    PQV_RETURN_IF_ERROR(reader.Int("num_heads", &heads_));
    return ReadAttentionScales(reader, &op_);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView qkv;
    PQV_RETURN_IF_ERROR(context.Input("QKV", &qkv));
    const size_t rank = qkv.shape.rank;
    const size_t tokens = static_cast<size_t>(qkv.shape.dims[rank - 2]);
    const size_t channels = static_cast<size_t>(qkv.shape.Last());
    const size_t depth = channels / 3 / heads_;
    size_t batches = 0;
    PQV_RETURN_IF_ERROR(context.Count(qkv, 0, rank - 2, &batches));
    PQV_RETURN_IF_ERROR(context.ExpectMultiple(qkv, rank - 1, 3 * heads_));
    if (tokens > kMaxReduction || depth > kMaxReduction) {
      return Error(context.id(),
                   "input QKV has shape %s, expected at most %zu tokens and channels of a head",
                   ShapeText(qkv.shape).text, kMaxReduction);
    }
    Shape y_shape = qkv.shape;
    y_shape.dims[rank - 1] /= 3;
    int8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(y_shape, &y));
    if (batches == 0 || tokens == 0 || depth == 0) return nullptr;
    return RunHeads(context, batches, tokens, depth, static_cast<const int8_t*>(qkv.data), y);
  }

 private:
  OrtStatus* RunHeads(const RunContext& context, size_t batches, size_t tokens, size_t depth,
                      const int8_t* qkv, int8_t* y) const {
    const size_t heads = heads_;
    const size_t width = heads * depth;
    const size_t block_rows = AttentionBlockRows(tokens);
    const size_t blocks = CeilDivide(tokens, block_rows);
    Attention whole = op_;
    whole.tokens = tokens;
    whole.depth = depth;
    whole.stride = 3 * width;
    whole.y_stride = width;
    std::atomic<bool> has_memory{true};
    const auto run_blocks = [&](size_t begin, size_t end) {
      const Scratch scratch(variant_->attention->scratch_bytes(whole));
      if (scratch.data() == nullptr) return has_memory.store(false);
      for (size_t i = begin; i < end; ++i) {
        const size_t row = i % blocks * block_rows;
        const size_t head = i / blocks % heads;
        const size_t token = i / blocks / heads * tokens;  // the first one of the image
        Attention op = whole;
        op.rows = tokens - row < block_rows ? tokens - row : block_rows;
        op.k = qkv + token * 3 * width + width + head * depth;
        op.v = op.k + width;
        op.q = op.k - width + row * 3 * width;
        op.y = y + (token + row) * width + head * depth;
        variant_->attention->run(*variant_, op, scratch.data());
      }
    };
    PQV_RETURN_IF_ERROR(context.ParallelRanges(batches * heads * blocks,
                                               2 * block_rows * tokens * depth, run_blocks));
    return has_memory.load() ? nullptr : OutOfMemory(context.id(), "logits");
  }

  const Variant* variant_ = nullptr;
  size_t heads_ = 0;
  Attention op_ = {};
};

}  // namespace

PQV_DEFINE_OP(IntAttention, AttentionNode);

}  // namespace pqv
