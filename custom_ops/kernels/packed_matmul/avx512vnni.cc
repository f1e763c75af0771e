#include "kernels/common/cpu.h"
#include "kernels/packed_matmul/few_rows_avx512vnni.h"
#include "kernels/packed_matmul/inner_product_avx512vnni.h"
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

ProductForm DirectForm(const PackedMatMul& op, const RunAssemblyTile (*run)[2],
                       const uint8_t* panel, size_t panel_stride) {
  return {run,     panel,         panel_stride, CeilDivide(op.k, kGroup), UnsignedStride(op.k),
          nullptr, op.weight_sums};
}

ProductForm InnerForm(const PackedMatMul& op, const PackedMatMulBlock& block,
                      const uint8_t* steps) {
  return {kInnerTile,
          steps,
          0,
          Triples(op.k),
          InnerStride(op.k),
          InnerOfRows(block.prepared, block.prepared_rows, op.k),
          op.weight_sums + PaddedChannels(op.n)};
}

// All rows of the block by the 16 * kVectors channels from n on.
template <int kBits, size_t kVectors, typename Epilogue>
void RunChannels(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n,
                 typename Epilogue::Output* y) {
  const Epilogue epilogue(op, block, n, y);
  uint8_t* const steps = block.scratch + UnsignedRows::CopyBytes(op.k);
  if (block.prepared != nullptr && block.has_narrow_rows) {
    MakeInnerSteps<kBits, kVectors>(op, n, steps);
    return RunProduct<kVectors>(op, kBits, block, n, y, TriplePanel<kVectors>{steps},
                                InnerForm(op, block, steps), epilogue);
  }
  if constexpr (kBits == 8) {
    const size_t panels = kVectors * kLanes32 / kPanelChannels;
    const bool is_whole = n / kPanelChannels + panels <= CeilDivide(op.n, kPanelChannels);
    if (is_whole && CpuHasPortsBesideVnni() && ReadsFile(epilogue)) {
      const FilePanel panel = {Group(op.weights, kBits, op.k, 0, n),
                               CeilDivide(op.k, kGroupSize) * GroupBytes(kBits)};
      const ProductForm form = DirectForm(op, kFileTile, panel.first, panel.stride);
      return RunProduct<kVectors>(op, kBits, block, n, y, panel, form, epilogue);
    }
  }
  MakeSteps<kBits, kVectors>(op, n, steps);
  RunProduct<kVectors>(op, kBits, block, n, y, StepPanel<kVectors>{steps},
                       DirectForm(op, kStepsTile, steps, 0), epilogue);
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

size_t PreparedBytes(const PackedMatMul& op, PackedMatMulBlock* whole) {
  if (AreFewRows(whole->row_end, op.k)) return 0;
  whole->has_narrow_rows = PaysInner(op.n, op.k) && op.has_narrow_weights &&
                           CpuHasPortsBesideVnni() && AreNarrowRows(op, *whole);
  return whole->has_narrow_rows ? InnerBytes(whole->row_end, op.k)
                                : whole->row_end * UnsignedStride(op.k);
}

bool PrepareRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  if (block.has_narrow_rows) {
    PrepareInner(op, block);
  } else {
    MakeUnsigned(block.a + block.row_begin * block.a_stride, block.a_stride,
                 block.row_end - block.row_begin, op.k,
                 block.prepared + block.row_begin * UnsignedStride(op.k));
  }
  return true;
}

template <int kBits>
constexpr PackedMatMulKernel Kernel() {
  PackedMatMulKernel kernel = {kBlockRows, kWideChannels, Run<kBits>, nullptr};
  if (kBits == 8) kernel.run_to_int32 = RunToInt32;
  kernel.sum_weights = SumWeights<kBits>;
  kernel.scratch_bytes = ScratchBytes;
  kernel.prepared_bytes = PreparedBytes;
  kernel.prepare = PrepareRows;
  return kernel;
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = Kernel<4>();
const PackedMatMulKernel kPackedInt8MatMul = Kernel<8>();

}  // namespace avx512vnni
}  // namespace pqv
