#include "kernels/common/cpu.h"
#include "kernels/packed_matmul/direct_avx512vnni.h"
#include "kernels/packed_matmul/few_rows_avx512vnni.h"
#include "kernels/packed_matmul/strassen_avx512vnni.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kWideChannels = 64;

// Whether weights may be read where they are: of output of 8 bits only the tile of sums that are
// shifted to the right does so, which those of int8 nearly always are.
bool ReadsFile(const NaturalToInt8<kBlockVectors>& epilogue) {
  return epilogue.shifts() == Shifts::kRight;
}
bool ReadsFile(const NaturalToInt32<4>&) { return true; }

// The scratch memory of a block: copies of a tile's rows, then the steps of a panel.
size_t ScratchBytes(const PackedMatMul& op, const PackedMatMulBlock&) {
  return UnsignedRows::CopyBytes(op.k) + StepBytes(op.k);
}

// All rows of the block by the 16 * kVectors channels from n on.
template <int kBits, size_t kVectors, typename Epilogue>
void RunChannels(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n,
                 typename Epilogue::Output* y) {
  const Epilogue epilogue(op, block, n, y);
  if constexpr (kBits == 8) {
    const size_t panels = kVectors * kLanes32 / kPanelChannels;
    const bool is_whole = n / kPanelChannels + panels <= CeilDivide(op.n, kPanelChannels);
    if (is_whole && CpuHasPortsBesideVnni() && ReadsFile(epilogue)) {
      const FilePanel panel = {Group(op.weights, kBits, op.k, 0, n),
                               CeilDivide(op.k, kGroupSize) * GroupBytes(kBits)};
      return RunDirect<kVectors>(op, kBits, block, n, y, panel, epilogue);
    }
  }
  uint8_t* const steps = block.scratch + UnsignedRows::CopyBytes(op.k);
  MakeSteps<kBits, kVectors>(op, n, steps);
  RunDirect<kVectors>(op, kBits, block, n, y, StepPanel<kVectors>{steps}, epilogue);
}

template <int kBits>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  if (AreFewRows(block.row_end - block.row_begin, op.k)) {
    return RunFewRows<kBits, NaturalToInt8>(op, block, y);
  }
  for (size_t n = block.channel_begin; n < block.channel_end; n += kBlockChannels) {
    RunChannels<kBits, kBlockVectors, NaturalToInt8<kBlockVectors>>(op, block, n, y);
  }
}

void RunToInt32(const PackedMatMul& op, const PackedMatMulBlock& block, int32_t* y) {
  if (AreFewRows(block.row_end - block.row_begin, op.k)) {
    return RunFewRows<8, NaturalToInt32>(op, block, y);
  }
  for (size_t n = block.channel_begin; n < block.channel_end; n += kWideChannels) {
    RunChannels<8, 4, NaturalToInt32<4>>(op, block, n, y);
  }
}

size_t UnsignedBytes(const PackedMatMul& op, const PackedMatMulBlock& whole) {
  return AreFewRows(whole.row_end, op.k) ? 0 : whole.row_end * UnsignedStride(op.k);
}

bool PrepareUnsigned(const PackedMatMul& op, const PackedMatMulBlock& block) {
  MakeUnsigned(block.a + block.row_begin * block.a_stride, block.a_stride,
               block.row_end - block.row_begin, op.k,
               block.prepared + block.row_begin * UnsignedStride(op.k));
  return true;
}

// Whether rows are prepared for Strassen's product: not where many channels are left over, whose
// rows nobody prepares. Activations of 8 bits are mostly told by their first row; preparing finds
// out the others.
bool TakesStrassen(const PackedMatMul& op, const int8_t* a, size_t rows) {
  if (op.n % kFastChannels > op.n / 4) return false;
  if (StrassenLevels(kStrassenTile, rows, op.n, op.k) == 0) return false;
  for (size_t i = 0; i < op.k; i += 64) {
    if (BeyondInt4(_mm512_maskz_loadu_epi8(FirstLanes(op.k - i), a + i)) != 0) return false;
  }
  return true;
}

// Whole panels of 64 channels by Strassen's product; what is left of them directly.
void RunFast(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  const size_t channels = block.channel_end - block.channel_begin;
  const size_t fast_end = block.channel_end - channels % kFastChannels;
  for (size_t row = block.row_begin; row < block.row_end; row += kFastBlockRows) {
    const size_t row_end = Min(block.row_end, row + kFastBlockRows);
    for (size_t n = block.channel_begin; n < fast_end; n += kFastChannels) {
      FastPanel(op, block, row, row_end, n, y).Run();
    }
  }
  if (fast_end == block.channel_end) return;
  PackedMatMulBlock rest = block;
  rest.channel_begin = fast_end;
  rest.prepared = nullptr;
  Run<4>(op, rest, y);
}

void RunInt4(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  if (block.prepared != nullptr && TakesStrassen(op, block.a, block.prepared_rows)) {
    return RunFast(op, block, y);
  }
  Run<4>(op, block, y);
}

size_t Int4ScratchBytes(const PackedMatMul& op, const PackedMatMulBlock& block) {
  const size_t own = ScratchBytes(op, block);
  const size_t fast = block.prepared != nullptr ? FastPanel::ScratchBytes(op.k) : 0;
  return own > fast ? own : fast;
}

size_t PreparedBytes(const PackedMatMul& op, const PackedMatMulBlock& whole) {
  if (!TakesStrassen(op, whole.a, whole.row_end)) return UnsignedBytes(op, whole);
  return whole.row_end / kFastRows * RowFactorBytes(op.k);
}

bool PrepareRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  if (!TakesStrassen(op, block.a, block.prepared_rows)) return PrepareUnsigned(op, block);
  bool are_int4 = true;
  const size_t row_end = Min(block.row_end, FastRows(block));
  for (size_t row = block.row_begin; row < row_end; row += kFastRows) {
    are_int4 &= MakeRowFactors(block.a + row * block.a_stride, block.a_stride, op.k,
                               block.prepared + row / kFastRows * RowFactorBytes(op.k));
  }
  return are_int4;
}

constexpr PackedMatMulKernel Int4Kernel() {
  PackedMatMulKernel kernel = {kFastRows, kWideChannels, RunInt4, nullptr};
  kernel.sum_weights = SumWeights<4>;
  kernel.scratch_bytes = Int4ScratchBytes;
  kernel.prepared_bytes = PreparedBytes;
  kernel.prepare = PrepareRows;
  return kernel;
}

constexpr PackedMatMulKernel Int8Kernel() {
  PackedMatMulKernel kernel = {kBlockRows, kWideChannels, Run<8>, RunToInt32};
  kernel.sum_weights = SumWeights<8>;
  kernel.scratch_bytes = ScratchBytes;
  kernel.prepared_bytes = UnsignedBytes;
  kernel.prepare = PrepareUnsigned;
  return kernel;
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = Int4Kernel();
const PackedMatMulKernel kPackedInt8MatMul = Int8Kernel();

}  // namespace avx512vnni
}  // namespace pqv
