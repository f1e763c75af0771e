#include "kernels/common/cpu.h"
#include "kernels/packed_matmul/few_rows_avx512vnni.h"
#include "kernels/packed_matmul/panels_avx512vnni.h"
#include "kernels/packed_matmul/strassen_avx512vnni.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kWideChannels = 64;    // of a panel of four vectors
constexpr size_t kNarrowChannels = 32;  // of a panel of two, for the rest

template <size_t kVectors>
using NaturalToInt8 = Int8Epilogue<kVectors, NaturalOrder<kVectors>>;
template <size_t kVectors>
using NaturalToInt32 = Int32Epilogue<kVectors, NaturalOrder<kVectors>>;

// The scratch memory of a block: copies of a tile's rows, then the steps of a panel.
size_t ScratchBytes(const PackedMatMul& op, const PackedMatMulBlock&) {
  return UnsignedRows::CopyBytes(op.k) + StepBytes(op.k);
}

// All rows of the block by the 16 * kVectors channels from n on.
template <int kBits, size_t kVectors, typename Epilogue, typename Panel>
PQV_INLINE void Multiply(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n,
                         const Panel& panel, typename Epilogue::Output* y) {
  constexpr size_t kChannels = kLanes32 * kVectors;
  const size_t rows = block.row_end - block.row_begin;
  const size_t steps = CeilDivide(op.k, kGroup);
  const Epilogue epilogue(op, block, n, y);
  __m512i first[kVectors];
  for (size_t v = 0; v < kVectors; ++v) first[v] = epilogue.First()[v];
  TakeOffset<kVectors>(panel, steps, first);
  NextWeights next(op, kBits, n + kChannels, kChannels, CeilDivide(rows, kTileRows) * steps);
  const auto begin = [&](size_t r, __m512i* sums) __attribute__((always_inline)) {
    epilogue.Prefetch(block.row_begin + r);
    for (size_t v = 0; v < kVectors; ++v) sums[v] = first[v];
  };
  const auto end = [&](size_t r, const __m512i* sums) __attribute__((always_inline)) {
    epilogue.StoreSums(block.row_begin + r, sums);
  };
  const auto beside = [&]() __attribute__((always_inline)) { next.Fetch(); };
  UnsignedRows source(op, block, block.scratch);
  RunRows<PanelSign::kSigned, kVectors>(&source, rows, panel, steps, begin, end, beside);
}

template <int kBits, size_t kVectors, typename Epilogue>
void RunChannels(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n,
                 typename Epilogue::Output* y) {
  constexpr size_t kPanels = kLanes32 * kVectors / kPanelChannels;
  if constexpr (kBits == 8) {
    const bool is_whole = n / kPanelChannels + kPanels <= CeilDivide(op.n, kPanelChannels);
    if (is_whole && CpuHasPortsBesideVnni()) {
      const FilePanel panel = {Group(op.weights, kBits, op.k, 0, n),
                               CeilDivide(op.k, kGroupSize) * GroupBytes(kBits)};
      return Multiply<kBits, kVectors, Epilogue>(op, block, n, panel, y);
    }
  }
  uint8_t* const steps = block.scratch + UnsignedRows::CopyBytes(op.k);
  MakeSteps<kBits, kVectors>(op, n, steps);
  Multiply<kBits, kVectors, Epilogue>(op, block, n, StepPanel<kVectors>{steps}, y);
}

template <int kBits, template <size_t> class Epilogue, typename Output>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, Output* y) {
  if (AreFewRows(block.row_end - block.row_begin, op.k)) {
    return RunFewRows<kBits, Epilogue>(op, block, y);
  }
  for (size_t n = block.channel_begin; n < block.channel_end; n += kWideChannels) {
    if (block.channel_end - n > kNarrowChannels) {
      RunChannels<kBits, 4, Epilogue<4>>(op, block, n, y);
    } else {
      RunChannels<kBits, 2, Epilogue<2>>(op, block, n, y);
    }
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
  if (!StrassenPays(kStrassenTile, rows, op.n, op.k)) return false;
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
  Run<4, NaturalToInt8>(op, rest, y);
}

void RunInt4(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  if (block.prepared != nullptr && TakesStrassen(op, block.a, block.prepared_rows)) {
    return RunFast(op, block, y);
  }
  Run<4, NaturalToInt8>(op, block, y);
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
  kernel.scratch_bytes = Int4ScratchBytes;
  kernel.prepared_bytes = PreparedBytes;
  kernel.prepare = PrepareRows;
  return kernel;
}

constexpr PackedMatMulKernel Int8Kernel() {
  PackedMatMulKernel kernel = {kTileRows, kWideChannels, Run<8, NaturalToInt8, int8_t>,
                               Run<8, NaturalToInt32, int32_t>};
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
