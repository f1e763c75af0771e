#include <atomic>

#include "bindings/gelu_tables.h"
#include "bindings/ops.h"
#include "bindings/scratch.h"
#include "kernels/packed_matmul/gelu.h"
#include "kernels/packed_matmul/layout.h"

namespace pqv {
namespace {

constexpr int kTableBits = 8;  // of the indices of a table

constexpr size_t kEvenTasks = 8;               // so many keep a few threads evenly busy
constexpr size_t kMaxChannelTasks = 16;        // each of them reads all activations of its rows
constexpr size_t kMaxActivations = 640 << 10;  // bytes of them, which then stay in L2

size_t Max(size_t a, size_t b) { return a < b ? b : a; }

// What an op does after the sum of products.
enum class Epilogue { kRequantize, kRequantizeAdd, kRequantizeGelu, kNone };

// Whether some value is the lowest of its type, -8 or -128. A loop that compilers vectorise.
bool HasLowest(const uint8_t* bytes, size_t count, int bits) {
  const uint8_t low_mask = bits == 4 ? 0x0F : 0x00;
  const uint8_t high_mask = bits == 4 ? 0xF0 : 0xFF;
  uint8_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    found |= (bytes[i] & high_mask) == 0x80;
    found |= (bytes[i] & low_mask) == 0x08;
  }
  return found != 0;
}

// Every weight in the symmetric range, every padding zero.
OrtStatus* ValidateWeights(const NodeReader& reader, int bits, size_t k, size_t n,
                           const void* n8k4) {
  const int limit = (1 << (bits - 1)) - 1;
  const size_t n_padded = CeilDivide(n, kPanelChannels) * kPanelChannels;
  const size_t k_padded = CeilDivide(k, kGroupSize) * kGroupSize;
  const bool has_padding = n_padded != n || k_padded != k;
  if (!has_padding && !HasLowest(static_cast<const uint8_t*>(n8k4), n * k * bits / 8, bits)) {
    return nullptr;
  }
  // Weight by weight, to name the one that is wrong.
  for (size_t channel = 0; channel < n_padded; ++channel) {
    for (size_t i = 0; i < k_padded; ++i) {
      const int weight = WeightAt(n8k4, bits, k, i, channel);
      const bool is_padding = channel >= n || i >= k;
      if (is_padding && weight != 0) {
        return Error(
            reader.id(),
            "input B has padding %d at k = %zu, n = %zu, expected 0 beyond K = %zu, N = %zu",
            weight, i, channel, k, n);
      }
      if (weight < -limit) {
        return Error(reader.id(), "input B has weight %d at k = %zu, n = %zu, expected [%d, %d]",
                     weight, i, channel, -limit, limit);
      }
    }
  }
  return nullptr;
}

class PackedMatMulNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant, int bits, Epilogue epilogue) {
    kernel_ = bits == 4 ? variant.packed_int4_matmul : variant.packed_int8_matmul;
    variant_ = &variant;
    epilogue_ = epilogue;
    PQV_RETURN_IF_ERROR(reader.String("layout"));
    PQV_RETURN_IF_ERROR(reader.Int("K", &op_.k));
    PQV_RETURN_IF_ERROR(reader.Int("N", &op_.n));
    PQV_RETURN_IF_ERROR(CreateWeights(reader, bits));
    PQV_RETURN_IF_ERROR(reader.Channels("bias", op_.n, &bias_));
    op_.bias = bias_.data();
    PQV_RETURN_IF_ERROR(SumWeights(reader));
    if (epilogue == Epilogue::kNone) return nullptr;
    PQV_RETURN_IF_ERROR(requantizer_.Create(reader, op_.n));
    op_.requantizer = requantizer_.View();
    PQV_RETURN_IF_ERROR(CreateRoundedBias(reader));
    if (epilogue == Epilogue::kRequantizeGelu) {
      op_.y_bits = kTableBits;
      return CreateTables(reader);
    }
    PQV_RETURN_IF_ERROR(reader.Int("y_bits", &op_.y_bits));
    if (epilogue == Epilogue::kRequantize) return nullptr;
    PQV_RETURN_IF_ERROR(reader.Channels("residual_multiplier", op_.n, &residual_multiplier_));
    op_.residual_multiplier = residual_multiplier_.data();
    return nullptr;
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView a;
    PQV_RETURN_IF_ERROR(context.Input("A", &a));
    PQV_RETURN_IF_ERROR(context.ExpectDimension(a, a.shape.rank - 1, op_.k));
    size_t rows = 0;
    PQV_RETURN_IF_ERROR(context.Count(a, 0, a.shape.rank - 1, &rows));
    Shape y_shape = a.shape;
    y_shape.dims[y_shape.rank - 1] = static_cast<int64_t>(op_.n);

    PackedMatMulBlock block = {};
    block.row_end = rows;
    block.channel_end = op_.n;
    block.a = static_cast<const int8_t*>(a.data);
    block.a_stride = op_.k;
    block.y_stride = op_.n;
    if (epilogue_ == Epilogue::kRequantizeAdd) {
      PQV_RETURN_IF_ERROR(ReadResidual(context, y_shape, &block));
    }

    void* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(y_shape, &y));
    if (rows == 0) return nullptr;
    const size_t bytes =
        kernel_->prepared_bytes != nullptr ? kernel_->prepared_bytes(op_, &block) : 0;
    if (bytes == 0) return RunTasks(context, block, y);
    const Scratch prepared(bytes);
    block.prepared = static_cast<uint8_t*>(prepared.data());
    block.prepared_rows = rows;
    if (block.prepared != nullptr) PQV_RETURN_IF_ERROR(Prepare(context, &block));
    return RunTasks(context, block, y);
  }

 private:
  OrtStatus* CreateWeights(const NodeReader& reader, int bits) {
    const Shape shape = {3,
                         {static_cast<int64_t>(CeilDivide(op_.n, kPanelChannels)),
                          static_cast<int64_t>(CeilDivide(op_.k, kGroupSize)),
                          static_cast<int64_t>(GroupBytes(bits))}};
    PQV_RETURN_IF_ERROR(reader.Constant("B", shape, &op_.weights));
    return ValidateWeights(reader, bits, op_.k, op_.n, op_.weights);
  }

  OrtStatus* SumWeights(const NodeReader& reader) {
    if (kernel_->sum_weights == nullptr) return nullptr;
    if (!weight_sums_.Allocate(kWeightSums * PaddedChannels(op_.n))) {
      return OutOfMemory(reader.id(), "the sums of the weights");
    }
    op_.weight_sums = weight_sums_.data();
    op_.has_narrow_weights = kernel_->sum_weights(op_, weight_sums_.data());
    return nullptr;
  }

  OrtStatus* CreateRoundedBias(const NodeReader& reader) {
    if (!rounded_bias_.Allocate(PaddedChannels(op_.n))) {
      return OutOfMemory(reader.id(), "the bias");
    }
    for (size_t i = 0; i < op_.n; ++i) {
      rounded_bias_[i] = bias_[i] + op_.requantizer.rounding[i];
    }
    op_.rounded_bias = rounded_bias_.data();
    return nullptr;
  }

  OrtStatus* CreateTables(const NodeReader& reader) {
    size_t groups = 0;
    PQV_RETURN_IF_ERROR(ReadGeluTables(reader, &tables_.entries, &groups));
    if (op_.n % groups != 0) {
      return Error(reader.id(), "input table has %zu tables, expected a divisor of N = %zu", groups,
                   op_.n);
    }
    tables_.group_width = op_.n / groups;
    return nullptr;
  }

  OrtStatus* ReadResidual(const RunContext& context, const Shape& y_shape,
                          PackedMatMulBlock* block) const {
    TensorView residual;
    PQV_RETURN_IF_ERROR(
        context.InputOfShape("residual", y_shape, &residual, &block->residual_rows));
    block->residual = static_cast<const int8_t*>(residual.data);
    block->residual_stride = op_.n;
    return nullptr;
  }

  // Leaves the block without prepared rows if the kernel must do without.
  OrtStatus* Prepare(const RunContext& context, PackedMatMulBlock* whole) const {
    constexpr size_t kPrepareCost = 8;  // of a byte of `a`
    const size_t row_tile = kernel_->row_tile;
    std::atomic<bool> is_prepared{true};
    const auto prepare = [&](size_t begin, size_t end) {
      PackedMatMulBlock block = *whole;
      block.row_begin = begin * row_tile;
      block.row_end = Min(end * row_tile, whole->row_end);
      if (!kernel_->prepare(op_, block)) is_prepared.store(false);
    };
    PQV_RETURN_IF_ERROR(context.ParallelRanges(CeilDivide(whole->prepared_rows, row_tile),
                                               kPrepareCost * row_tile * op_.k, prepare));
    if (!is_prepared.load()) whole->prepared = nullptr;
    return nullptr;
  }

  // A grid of tasks. Channels are cut first, as every task prepares the weights of its channels
  // anew; rows where one task after the other would read more activations than stay in L2.
  OrtStatus* RunTasks(const RunContext& context, const PackedMatMulBlock& whole, void* y) const {
    const size_t row_tiles = CeilDivide(whole.row_end, kernel_->row_tile);
    const size_t channel_tiles = CeilDivide(whole.channel_end, kernel_->channel_tile);
    const size_t tasks =
        TaskCount(row_tiles * channel_tiles, kernel_->row_tile * kernel_->channel_tile * op_.k);
    const size_t channel_tasks = Min(Min(tasks, channel_tiles), kMaxChannelTasks);
    const size_t max_row_tasks = Min(row_tiles, whole.row_end / kernel_->min_task_rows + 1);
    const size_t cached_tasks = CeilDivide(whole.row_end * op_.k, kMaxActivations);
    const size_t even_tasks = CeilDivide(Min(tasks, kEvenTasks), channel_tasks);
    const size_t row_tasks = Min(Max(cached_tasks, even_tasks), max_row_tasks);
    std::atomic<bool> has_memory{true};
    PQV_RETURN_IF_ERROR(context.ParallelFor(row_tasks * channel_tasks, [&](size_t task) {
      const size_t row_task = task / channel_tasks;
      const size_t channel_task = task % channel_tasks;
      PackedMatMulBlock block = whole;
      block.row_begin = TaskBegin(row_tiles, row_tasks, row_task) * kernel_->row_tile;
      block.channel_begin =
          TaskBegin(channel_tiles, channel_tasks, channel_task) * kernel_->channel_tile;
      const size_t row_end = TaskBegin(row_tiles, row_tasks, row_task + 1) * kernel_->row_tile;
      const size_t channel_end =
          TaskBegin(channel_tiles, channel_tasks, channel_task + 1) * kernel_->channel_tile;
      if (row_end < whole.row_end) block.row_end = row_end;
      if (channel_end < whole.channel_end) block.channel_end = channel_end;
      if (!RunTask(block, y)) has_memory.store(false);
    }));
    return has_memory.load() ? nullptr : OutOfMemory(context.id(), "scratch memory");
  }

  // False if there is no memory for it.
  bool RunTask(PackedMatMulBlock block, void* output) const {
    const size_t bytes = kernel_->scratch_bytes != nullptr ? kernel_->scratch_bytes(op_, block) : 0;
    if (bytes == 0) {
      RunBlock(block, output);
      return true;
    }
    const Scratch scratch(bytes);
    block.scratch = static_cast<uint8_t*>(scratch.data());
    if (block.scratch == nullptr) return false;
    RunBlock(block, output);
    return true;
  }

  void RunBlock(const PackedMatMulBlock& block, void* output) const {
    if (epilogue_ == Epilogue::kNone) {
      return kernel_->run_to_int32(op_, block, static_cast<int32_t*>(output));
    }
    int8_t* const y = static_cast<int8_t*>(output);
    if (epilogue_ == Epilogue::kRequantizeGelu) {
      return RunMatMulGelu(*variant_, *kernel_, op_, block, tables_, y);
    }
    kernel_->run(op_, block, y);
  }

  const Variant* variant_ = nullptr;
  const PackedMatMulKernel* kernel_ = nullptr;
  Epilogue epilogue_ = Epilogue::kNone;
  PackedMatMul op_ = {};
  Array<int32_t> bias_;
  Array<int32_t> rounded_bias_;
  Array<int32_t> weight_sums_;
  RequantizerArrays requantizer_;
  Array<int16_t> residual_multiplier_;
  GeluTables tables_ = {};
};

// One op of the family. What they share is one class, so that its code is in the library once.
template <int kBits, Epilogue kEpilogue>
class PackedMatMulOp : public PackedMatMulNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    return PackedMatMulNode::Create(reader, variant, kBits, kEpilogue);
  }
};

}  // namespace

PQV_DEFINE_OP(PackedInt4MatMul, PackedMatMulOp<4, Epilogue::kRequantize>);
PQV_DEFINE_OP(PackedInt4MatMulAdd, PackedMatMulOp<4, Epilogue::kRequantizeAdd>);
PQV_DEFINE_OP(PackedInt4MatMulGELU, PackedMatMulOp<4, Epilogue::kRequantizeGelu>);
PQV_DEFINE_OP(PackedInt8MatMul, PackedMatMulOp<8, Epilogue::kRequantize>);
PQV_DEFINE_OP(PackedInt8MatMulAdd, PackedMatMulOp<8, Epilogue::kRequantizeAdd>);
PQV_DEFINE_OP(PackedInt8MatMulGELU, PackedMatMulOp<8, Epilogue::kRequantizeGelu>);
PQV_DEFINE_OP(PackedInt8MatMulToInt32, PackedMatMulOp<8, Epilogue::kNone>);

}  // namespace pqv
