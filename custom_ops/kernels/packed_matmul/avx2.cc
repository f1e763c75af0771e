#include "kernels/packed_matmul/avx2.h"

namespace pqv {
namespace avx2 {
namespace {

// int8 weights, read from the file.

constexpr size_t kChunk = 2048;  // k per pass: 24 KiB of widened activations

template <typename Epilogue>
void RunWide(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  WideRows<kWideRows, kChunk> wide;
  for (size_t row = block.row_begin; row < block.row_end; row += kWideRows) {
    const size_t rows = Min(block.row_end - row, kWideRows);
    const int8_t* a = block.a + row * block.a_stride;
    if (op.k <= kChunk) WidenRows(a, block.a_stride, rows, op.k, &wide);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      alignas(32) int32_t sums[kWideRows][kLanes];
      for (size_t k = 0; k < op.k; k += kChunk) {
        const size_t count = Min(op.k - k, kChunk);
        if (op.k > kChunk) WidenRows(a + k, block.a_stride, rows, count, &wide);
        const TileSums tile = k == 0 ? FromZero(sums[0], kLanes) : GoOn(sums[0], kLanes);
        for (size_t half = 0; half < kLanes; half += kPanelChannels) {
          if (n + half >= block.channel_end) break;
          const void* panel = Group(op.weights, 8, op.k, k, n + half);
          MultiplyWideTile(wide.data[0], wide.kStride, rows, static_cast<const int8_t*>(panel),
                           Groups(count), Move(tile, 0, half));
        }
      }
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = {Maddubs::kRows, kLanes, RunBytes<Maddubs, 4, ToInt8>,
                                              nullptr};
const PackedMatMulKernel kPackedInt8MatMul = {kWideRows, kLanes, RunWide<ToInt8>, RunWide<ToInt32>};

}  // namespace avx2
}  // namespace pqv
