#include "kernels/gemm/tile_avxvnni.h"
#include "kernels/packed_matmul/avx2.h"
#include "kernels/packed_matmul/inner_product_avxvnni.h"

namespace pqv {
namespace avxvnni {
namespace {

using namespace avx2;

// Rows are prepared once for all channels: unsigned by an offset, whose share of a sum the sums of
// the weights tell, or for Winograd's inner product where both sides are codes of 4 bits. Weights
// of 8 bits are read where they are, those of 4 bits from a buffer.

constexpr int kRowOffset = 128;
constexpr size_t kMaxRows = 204;  // that share two panels
constexpr size_t kRowUnit = 12;   // whole tiles of 6 rows and of 4
static_assert(kMaxRows % kRowUnit == 0, "whole tiles");

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

// Two panels of 8 channels as bytes, `bytes` apart.
struct Panels {
  const uint8_t* first;
  size_t bytes;
};

// Of weights as they are.
template <int kBitsOfWeights>
struct Direct {
  static constexpr int kBits = kBitsOfWeights;
  static constexpr size_t kChunk = kPackedChunk;
  static constexpr size_t kRowsAtOnce = 18;  // between which the next weights are asked for
  static_assert(kRowUnit % Dpbusd::kRows == 0 && kRowsAtOnce % Dpbusd::kRows == 0, "whole tiles");

  static size_t Stride(size_t k) { return UnsignedStride(k); }

  static int32_t OfChannel(const PackedMatMul& op, size_t n) {
    return -kRowOffset * op.weight_sums[n];
  }

  // Those of channels n .. n + 15 and of k .. k + count - 1. Where the file has only one of them,
  // the second is the first, or what is in the buffer.
  static PQV_INLINE Panels MakePanels(const PackedMatMul& op, size_t n, size_t k, size_t count,
                                      uint8_t* buffer) {
    const uint8_t* const file = Group(op.weights, kBits, op.k, k, n);
    const size_t file_bytes = n + kTileChannels < op.n ? Groups(op.k) * GroupBytes(kBits) : 0;
    if constexpr (kBits == 8) {
      return {file, file_bytes};
    } else {
      Expand<kBits, true>(file, Groups(count), buffer);
      if (file_bytes > 0) {
        Expand<kBits, true>(file + file_bytes, Groups(count), buffer + kPanelBytes);
      }
      return {buffer, kPanelBytes};
    }
  }

  static PQV_INLINE void Multiply(const PackedMatMul&, const PackedMatMulBlock& block, size_t row,
                                  size_t rows, size_t k, size_t count, size_t stride,
                                  const Panels& panels, const TileSums& sums) {
    const uint8_t* const a = block.prepared + row * stride + k;
    MultiplyGroups<Dpbusd, true>(reinterpret_cast<const int8_t*>(a), stride, rows, panels.first,
                                 panels.bytes, Groups(count), Dpbusd::Groups(255, 127), sums);
  }
};

// Of Winograd's inner product.
struct Inner {
  static constexpr int kBits = 4;
  static constexpr size_t kChunk = kInnerChunk;
  static constexpr size_t kRowsAtOnce = 20;
  static_assert(kRowUnit % kInnerRows == 0 && kRowsAtOnce % kInnerRows == 0, "whole tiles");

  static size_t Stride(size_t k) { return InnerStride(k); }

  static int32_t OfChannel(const PackedMatMul& op, size_t n) {
    return op.weight_sums[PaddedChannels(op.n) + n];
  }

  static PQV_INLINE Panels MakePanels(const PackedMatMul& op, size_t n, size_t k, size_t count,
                                      uint8_t* buffer) {
    for (size_t half = 0; half < kLanes && n + half < op.n; half += kTileChannels) {
      uint8_t* const panel = buffer + half / kTileChannels * kPanelBytes;
      Expand<kBits>(Group(op.weights, kBits, op.k, k, n + half), Groups(count), panel);
      memset(panel + Groups(count) * kTileBytes, 0,
             (Triples(count) * kTripleGroups - Groups(count)) * kTileBytes);
    }
    return {buffer, kPanelBytes};
  }

  static PQV_INLINE void Multiply(const PackedMatMul& op, const PackedMatMulBlock& block,
                                  size_t row, size_t rows, size_t k, size_t count, size_t stride,
                                  const Panels& panels, const TileSums& sums) {
    const int32_t* const of_rows = InnerOfRows(block.prepared, block.prepared_rows, op.k);
    MultiplyTriples(block.prepared + row * stride + k, stride, rows, panels.first, panels.bytes,
                    Triples(count), k == 0 ? of_rows + row : nullptr, sums);
  }
};

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

// Those of codes, then what the sums of Winograd's inner product begin with beside the bias.
void SumCodes(const PackedMatMul& op, int32_t* sums) {
  SumWeights<4>(op, sums);
  int32_t* const of_channels = sums + PaddedChannels(op.n);
  alignas(32) uint8_t buffer[2 * kPanelBytes];
  for (size_t n = 0; n < op.n; n += kTileChannels) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t k = 0; k < op.k; k += kInnerChunk) {
      const size_t count = Min(op.k - k, kInnerChunk);
      const uint8_t* const panel = Inner::MakePanels(op, n, k, count, buffer).first;
      for (size_t g = 0; g < Groups(count); g += kTripleGroups) {
        const uint8_t* const pair = panel + g * kTileBytes;
        Dpbusd::Add(Load32Bytes(pair), Load32Bytes(pair + kTileBytes), &sum);
      }
    }
    alignas(32) int32_t pairs[kTileChannels];
    _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), sum);
    for (size_t c = 0; c < kTileChannels; ++c) {
      of_channels[n + c] = -(pairs[c] + kCodeOffset * sums[n + c]);
    }
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

template <typename Form, typename Epilogue>
void RunPrepared(const PackedMatMul& op, const PackedMatMulBlock& block,
                 typename Epilogue::Output* y) {
  alignas(32) uint8_t buffer[2 * kPanelBytes];
  alignas(32) int32_t sums[kMaxRows][kLanes];
  const size_t stride = Form::Stride(op.k);
  const size_t step = EvenPart(block.row_end - block.row_begin, kMaxRows, kRowUnit);
  for (size_t row = block.row_begin; row < block.row_end; row += step) {
    const size_t rows = Min(block.row_end - row, step);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      alignas(32) int32_t first[kLanes];
      for (size_t c = 0; c < kLanes; ++c) first[c] = Form::OfChannel(op, n + c);
      for (size_t k = 0; k < op.k; k += Form::kChunk) {
        const size_t count = Min(op.k - k, Form::kChunk);
        const Panels panels = Form::MakePanels(op, n, k, count, buffer);
        NextPanels next(op, Form::kBits, n, k, count, CeilDivide(rows, Form::kRowsAtOnce));
        const TileSums tile = k == 0 ? TileSums{sums[0], kLanes, first, 0} : GoOn(sums[0], kLanes);
        for (size_t r = 0; r < rows; r += Form::kRowsAtOnce) {
          next.Fetch();
          Form::Multiply(op, block, row + r, Min(rows - r, Form::kRowsAtOnce), k, count, stride,
                         panels, Move(tile, r, 0));
        }
      }
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

template <int kBits, typename Epilogue>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  if (block.prepared == nullptr) return RunBytes<Dpbusd, kBits, Epilogue>(op, block, y);
  RunPrepared<Direct<kBits>, Epilogue>(op, block, y);
}

// Activations of 8 bits are mostly told by their first row; preparing finds out the others.
void RunCodes(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  if (block.prepared == nullptr || !AreCodes(block.a, op.k)) return Run<4, ToInt8>(op, block, y);
  RunPrepared<Inner, ToInt8>(op, block, y);
}

size_t CodesBytes(const PackedMatMul& op, const PackedMatMulBlock& whole) {
  const size_t bytes = UnsignedBytes(op, whole);
  return bytes > 0 && AreCodes(whole.a, op.k) ? InnerBytes(whole.row_end, op.k) : bytes;
}

bool PrepareCodes(const PackedMatMul& op, const PackedMatMulBlock& block) {
  return AreCodes(block.a, op.k) ? PrepareInner(op, block) : PrepareUnsigned(op, block);
}

constexpr PackedMatMulKernel Int4Kernel() {
  PackedMatMulKernel kernel = {kRowUnit, kLanes, RunCodes, nullptr};
  kernel.prepared_bytes = CodesBytes;
  kernel.prepare = PrepareCodes;
  kernel.sum_weights = SumCodes;
  return kernel;
}

constexpr PackedMatMulKernel Int8Kernel() {
  PackedMatMulKernel kernel = {kRowUnit, kLanes, Run<8, ToInt8>, Run<8, ToInt32>};
  kernel.prepared_bytes = UnsignedBytes;
  kernel.prepare = PrepareUnsigned;
  kernel.sum_weights = SumWeights<8>;
  return kernel;
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = Int4Kernel();
const PackedMatMulKernel kPackedInt8MatMul = Int8Kernel();

}  // namespace avxvnni
}  // namespace pqv
