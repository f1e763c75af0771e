#include "kernels/attention/attention.h"

#include <string.h>

#include "kernels/common/sizes.h"
#include "kernels/variant.h"

namespace pqv {
namespace {

// Every block makes the kernels rearrange all of K and V again, so blocks are not too small. These
// are multiples of the rows of a tile of any variant.
constexpr size_t kMaxBlockRows = 112;
constexpr size_t kMinBlockRows = 16;
constexpr size_t kLogitsBytes = size_t{1} << 19;  // of a block, half of a usual L2 or less

// Rows begin at a cache line: none of the kernels' vectors then lies across two.
size_t LogitsStride(size_t tokens) { return RoundUp(tokens, kCacheLine / sizeof(int32_t)); }

size_t WeightsStride(size_t tokens) { return RoundUp(tokens, kCacheLine); }

}  // namespace

size_t AttentionBlockRows(size_t tokens) {
  const size_t rows = tokens > 0 ? tokens : 1;
  const size_t fitting = kLogitsBytes / sizeof(int32_t) / rows;
  const size_t limit = Min(fitting, kMaxBlockRows) / kMinBlockRows * kMinBlockRows;
  const size_t most = limit > kMinBlockRows ? limit : kMinBlockRows;
  return EvenPart(rows, most, kMinBlockRows);
}

namespace composed {
namespace {

size_t BlockBytes(size_t tokens) {
  return AttentionBlockRows(tokens) *
         (LogitsStride(tokens) * sizeof(int32_t) + WeightsStride(tokens));
}

// Of the rows of q, k, v or y, one after the other.
size_t PartBytes(const Attention& op) { return RoundUp(op.tokens * op.depth, kCacheLine); }

size_t ScratchBytes(const Attention& op) {
  return BlockBytes(op.tokens) + (op.places != nullptr ? 4 * PartBytes(op) : 0);
}

// A block of rows.
struct Block {
  size_t row, rows;
  void* logits;
  size_t logits_stride;
  uint8_t* weights;
  size_t weights_stride;
};

IntMatMul Product(const Attention& op, const Block& block) {
  return {block.rows,         op.tokens, op.depth,  op.q + block.row * op.stride,
          op.stride,          op.k,      op.stride, static_cast<int32_t*>(block.logits),
          block.logits_stride};
}

// Where queries and keys are codes of 4 bits; else it returns false.
bool MakeNarrowWeights(const NarrowKernels& kernels, const Attention& op, const Block& block) {
  constexpr size_t kMaxDepth = kMaxNarrowLogit / (8 * 8);
  if (kernels.int_matmul == nullptr || op.bias != nullptr || op.depth > kMaxDepth ||
      op.tokens < kMinNarrowPlaces || op.softmax.shift > kMaxNarrowShift) {
    return false;
  }
  int16_t* const logits = static_cast<int16_t*>(block.logits);
  if (!kernels.int_matmul(Product(op, block), logits)) return false;
  kernels.softmax2n(op.softmax, {logits, block.logits_stride, block.rows, op.tokens, block.weights,
                                 block.weights_stride});
  return true;
}

void MakeWeights(const Variant& variant, const Attention& op, const Block& block) {
  if (MakeNarrowWeights(variant.attention->narrow, op, block)) return;
  const int32_t* const logits = static_cast<const int32_t*>(block.logits);
  variant.int_matmul(Product(op, block));
  if (op.bias != nullptr) {
    const size_t pairs = block.row * op.tokens;
    return variant.softmax2n_bias(op.softmax, logits, op.bias + pairs, op.mask + pairs, block.rows,
                                  op.tokens, block.weights);
  }
  variant.softmax2n(op.softmax, {logits, block.logits_stride, block.rows, op.tokens, block.weights,
                                 block.weights_stride});
}

void RunInOrder(const Variant& variant, const Attention& op, void* scratch) {
  const size_t block_rows = AttentionBlockRows(op.tokens);
  const bool has_bias = op.bias != nullptr;
  const size_t logits_stride = has_bias ? op.tokens : LogitsStride(op.tokens);
  const size_t weights_stride = has_bias ? op.tokens : WeightsStride(op.tokens);
  uint8_t* const weights =
      static_cast<uint8_t*>(scratch) + block_rows * LogitsStride(op.tokens) * sizeof(int32_t);
  for (size_t row = 0; row < op.rows; row += block_rows) {
    const size_t rows = Min(op.rows - row, block_rows);
    MakeWeights(variant, op, {row, rows, scratch, logits_stride, weights, weights_stride});
    variant.weighted_mean({op.mean_shift, op.mean_multiplier, op.y_bits, rows, op.tokens, op.depth,
                           weights, weights_stride, op.v, op.stride, op.y + row * op.y_stride,
                           op.y_stride});
  }
}

// Short rows in pieces of a size that compilers know.
inline void CopyRow(const int8_t* source, size_t count, int8_t* target) {
  constexpr size_t kPiece = 32;
  size_t i = 0;
  for (; i + kPiece <= count; i += kPiece) memcpy(target + i, source + i, kPiece);
  for (; i < count; ++i) target[i] = source[i];
}

// Rows that lie apart, one after the other at `rows`.
Attention Gather(const Attention& op, int8_t* rows) {
  const size_t part = PartBytes(op);
  Attention ordered = op;
  ordered.q = rows;
  ordered.k = rows + part;
  ordered.v = rows + 2 * part;
  ordered.y = rows + 3 * part;
  ordered.stride = ordered.y_stride = op.depth;
  for (size_t t = 0; t < op.tokens; ++t) {
    int8_t* const row = rows + t * op.depth;
    const size_t place = op.places[t] * op.stride;
    if (t < op.rows) CopyRow(op.q + place, op.depth, row);
    CopyRow(op.k + place, op.depth, row + part);
    CopyRow(op.v + place, op.depth, row + 2 * part);
  }
  return ordered;
}

void Run(const Variant& variant, const Attention& op, void* scratch) {
  const bool is_ordered = op.places == nullptr;
  int8_t* const rows = static_cast<int8_t*>(scratch) + BlockBytes(op.tokens);
  const Attention ordered = is_ordered ? op : Gather(op, rows);
  RunInOrder(variant, ordered, scratch);
  for (size_t t = 0; !is_ordered && t < op.rows; ++t) {
    CopyRow(ordered.y + t * op.depth, op.depth, op.y + op.places[t] * op.y_stride);
  }
}

}  // namespace

const AttentionKernel kAttention = {ScratchBytes, Run};

}  // namespace composed

#define PQV_NEON_ATTENTION(isa)                                                               \
  namespace isa {                                                                             \
  const AttentionKernel kAttention = {                                                        \
      composed::ScratchBytes, composed::Run, {RunNarrowIntMatMul, neon::RunNarrowSoftmax2n}}; \
  }
#if defined(PQV_HAS_NEON)
PQV_NEON_ATTENTION(neon)
#endif
#if defined(PQV_HAS_DOTPROD)
PQV_NEON_ATTENTION(dotprod)
#endif
#if defined(PQV_HAS_I8MM)
PQV_NEON_ATTENTION(i8mm)
#endif
#if defined(PQV_HAS_SME)
PQV_NEON_ATTENTION(sme)
#endif

}  // namespace pqv
