#include "kernels/gemm/tile_avxvnni.h"
#include "kernels/packed_matmul/avx2.h"

namespace pqv {
namespace avxvnni {
namespace {

using namespace avx2;

// Rows are made unsigned once for all channels, by an offset whose share of a sum the sums of the
// weights tell. Weights of 8 bits are read where they are, those of 4 bits from a buffer.

constexpr int kRowOffset = 128;
constexpr size_t kMaxRows = 204;    // that share two panels
constexpr size_t kRowsAtOnce = 18;  // between which the next weights are asked for
static_assert(kMaxRows % Dpbusd::kRows == 0 && kRowsAtOnce % Dpbusd::kRows == 0, "whole tiles");

size_t UnsignedStride(size_t k) { return RoundUp(k, kTileGroup); }

size_t UnsignedBytes(const PackedMatMul& op, const PackedMatMulBlock& whole) {
  return whole.row_end <= kFewRows ? 0 : whole.row_end * UnsignedStride(op.k);
}

bool PrepareUnsigned(const PackedMatMul& op, const PackedMatMulBlock& block) {
  const size_t stride = UnsignedStride(op.k);
  const __m256i offset = _mm256_set1_epi8(static_cast<char>(kRowOffset));
  for (size_t r = block.row_begin; r < block.row_end; ++r) {
    const int8_t* const a = block.a + r * block.a_stride;
    uint8_t* const target = block.prepared + r * stride;
    size_t i = 0;
    for (; i + 32 <= op.k; i += 32) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + i),
                          _mm256_xor_si256(Load32Bytes(a + i), offset));
    }
    for (; i < op.k; ++i) target[i] = static_cast<uint8_t>(a[i] + kRowOffset);
    for (; i < stride; ++i) target[i] = 0;
  }
  return true;
}

constexpr size_t kPanelBytes = kPackedChunk / kTileGroup * kTileBytes;

// Two panels of 8 channels as signed bytes, `bytes` apart.
struct Panels {
  const uint8_t* first;
  size_t bytes;
};

// Those of channels n .. n + 15 and of k .. k + count - 1. Where the file has only one of them, the
// second is the first, or what is in the buffer.
template <int kBits>
PQV_INLINE Panels MakePanels(const PackedMatMul& op, size_t n, size_t k, size_t count,
                             uint8_t* buffer) {
  const uint8_t* const file = Group(op.weights, kBits, op.k, k, n);
  const size_t file_bytes = n + kTileChannels < op.n ? Groups(op.k) * GroupBytes(kBits) : 0;
  if constexpr (kBits == 8) {
    return {file, file_bytes};
  } else {
    Expand<kBits, true>(file, Groups(count), buffer);
    if (file_bytes > 0) Expand<kBits, true>(file + file_bytes, Groups(count), buffer + kPanelBytes);
    return {buffer, kPanelBytes};
  }
}

template <int kBits>
void SumWeights(const PackedMatMul& op, int32_t* sums) {
  alignas(32) uint8_t buffer[kPanelBytes];
  const __m256i ones = _mm256_set1_epi8(1);
  for (size_t n = 0; n < op.n; n += kTileChannels) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t k = 0; k < op.k; k += kPackedChunk) {
      const size_t count = Min(op.k - k, kPackedChunk);
      const uint8_t* panel = Group(op.weights, kBits, op.k, k, n);
      if constexpr (kBits == 4) {
        Expand<kBits, true>(panel, Groups(count), buffer);
        panel = buffer;
      }
      for (size_t g = 0; g < Groups(count); ++g) {
        Dpbusd::Add(ones, Load32Bytes(panel + g * kTileBytes), &sum);
      }
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + n), sum);
  }
}

// Asks for the weights that come after those of n .. n + 15 and k .. k + count - 1, by and by.
class NextPanels {
 public:
  PQV_INLINE NextPanels(const PackedMatMul& op, int bits, size_t n, size_t k, size_t count,
                        size_t times) {
    const bool is_last = k + count == op.k;
    if (is_last) n += kLanes;
    k = is_last ? 0 : k + count;
    const size_t bytes = Groups(Min(op.k - k, kPackedChunk)) * GroupBytes(bits);
    if (n >= op.n) return;
    step_ = RoundUp(CeilDivide(bytes, times), 64);
    first_ = Group(op.weights, bits, op.k, k, n);
    second_ = first_ + (n + kTileChannels < op.n ? Groups(op.k) * GroupBytes(bits) : 0);
  }

  PQV_INLINE void Fetch() {
    for (size_t i = 0; i < step_; i += 64) {
      _mm_prefetch(first_ + i, _MM_HINT_T0);
      _mm_prefetch(second_ + i, _MM_HINT_T0);
    }
    first_ += step_;
    second_ += step_;
  }

 private:
  const uint8_t* first_ = nullptr;
  const uint8_t* second_ = nullptr;
  size_t step_ = 0;
};

template <int kBits, typename Epilogue>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  if (block.prepared == nullptr) return RunBytes<Dpbusd, kBits, Epilogue>(op, block, y);
  const size_t limit = Dpbusd::Groups(255, 127);
  alignas(32) uint8_t buffer[2 * kPanelBytes];
  alignas(32) int32_t sums[kMaxRows][kLanes];
  const size_t stride = UnsignedStride(op.k);
  const size_t step = EvenPart(block.row_end - block.row_begin, kMaxRows, Dpbusd::kRows);
  for (size_t row = block.row_begin; row < block.row_end; row += step) {
    const size_t rows = Min(block.row_end - row, step);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      alignas(32) int32_t first[kLanes];
      for (size_t c = 0; c < kLanes; ++c) first[c] = -kRowOffset * op.weight_sums[n + c];
      for (size_t k = 0; k < op.k; k += kPackedChunk) {
        const size_t count = Min(op.k - k, kPackedChunk);
        const Panels panels = MakePanels<kBits>(op, n, k, count, buffer);
        NextPanels next(op, kBits, n, k, count, CeilDivide(rows, kRowsAtOnce));
        const TileSums tile = k == 0 ? TileSums{sums[0], kLanes, first, 0} : GoOn(sums[0], kLanes);
        for (size_t r = 0; r < rows; r += kRowsAtOnce) {
          const uint8_t* const a = block.prepared + (row + r) * stride + k;
          next.Fetch();
          MultiplyGroups<Dpbusd, true>(reinterpret_cast<const int8_t*>(a), stride,
                                       Min(rows - r, kRowsAtOnce), panels.first, panels.bytes,
                                       Groups(count), limit, Move(tile, r, 0));
        }
      }
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

template <int kBits>
constexpr PackedMatMulKernel Kernel() {
  PackedMatMulKernel kernel = {Dpbusd::kRows, kLanes, Run<kBits, ToInt8>, nullptr};
  if (kBits == 8) kernel.run_to_int32 = Run<8, ToInt32>;
  kernel.prepared_bytes = UnsignedBytes;
  kernel.prepare = PrepareUnsigned;
  kernel.sum_weights = SumWeights<kBits>;
  return kernel;
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = Kernel<4>();
const PackedMatMulKernel kPackedInt8MatMul = Kernel<8>();

}  // namespace avxvnni
}  // namespace pqv
