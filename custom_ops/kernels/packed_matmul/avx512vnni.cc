#include "kernels/common/cpu.h"
#include "kernels/packed_matmul/few_rows_avx512vnni.h"
#include "kernels/packed_matmul/product_avx512vnni.h"

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

// Whether rows are prepared for Winograd's inner product. Activations of 8 bits are mostly told by
// their first row; preparing finds out the others.
bool TakesInner(const PackedMatMul& op, const PackedMatMulBlock& block) {
  return CpuHasPortsBesideVnni() && AreCodes(block.a, op.k);
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
      return RunProduct<kVectors>(op, kBits, block, n, y, panel, epilogue);
    }
  }
  uint8_t* const steps = block.scratch + UnsignedRows::CopyBytes(op.k);
  MakeSteps<kBits, kVectors>(op, n, steps);
  RunProduct<kVectors>(op, kBits, block, n, y, StepPanel<kVectors>{steps}, epilogue);
}

// The same by Winograd's inner product.
void RunInnerChannels(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n, int8_t* y) {
  const NaturalToInt8<kBlockVectors> epilogue(op, block, n, y);
  uint8_t* const steps = block.scratch + UnsignedRows::CopyBytes(op.k);
  MakeInnerSteps<kBlockVectors>(op, n, steps);
  RunProduct<kBlockVectors>(op, 4, block, n, y, TriplePanel<kBlockVectors>{steps}, epilogue);
}

template <int kBits>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  if (AreFewRows(block.row_end - block.row_begin, op.k)) {
    return RunFewRows<kBits, NaturalToInt8>(op, block, y);
  }
  const bool takes_inner = kBits == 4 && block.prepared != nullptr && TakesInner(op, block);
  for (size_t n = block.channel_begin; n < block.channel_end; n += kBlockChannels) {
    if (takes_inner) {
      RunInnerChannels(op, block, n, y);
    } else {
      RunChannels<kBits, kBlockVectors, NaturalToInt8<kBlockVectors>>(op, block, n, y);
    }
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

size_t Int4PreparedBytes(const PackedMatMul& op, const PackedMatMulBlock& whole) {
  const size_t direct = UnsignedBytes(op, whole);
  if (direct == 0 || !TakesInner(op, whole)) return direct;
  return InnerBytes(whole.row_end, op.k);
}

bool PrepareInt4(const PackedMatMul& op, const PackedMatMulBlock& block) {
  return TakesInner(op, block) ? PrepareInner(op, block) : PrepareUnsigned(op, block);
}

void SumInt4(const PackedMatMul& op, int32_t* sums) {
  SumWeights<4>(op, sums);
  FindInnerOfChannels(op, sums, sums + PaddedChannels(op.n));
}

constexpr PackedMatMulKernel Int4Kernel() {
  PackedMatMulKernel kernel = {kBlockRows, kWideChannels, Run<4>, nullptr};
  kernel.sum_weights = SumInt4;
  kernel.scratch_bytes = ScratchBytes;
  kernel.prepared_bytes = Int4PreparedBytes;
  kernel.prepare = PrepareInt4;
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
