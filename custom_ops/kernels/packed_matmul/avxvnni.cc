#include "kernels/gemm/tile_avxvnni.h"
#include "kernels/packed_matmul/inner_product_avxvnni.h"
#include "kernels/packed_matmul/prepared_avx2.h"

namespace pqv {
namespace avxvnni {
namespace {

using namespace avx2;

// Rows are prepared once for all channels: unsigned by an offset, whose share of a sum the sums of
// the weights tell, or for Winograd's inner product where both sides have 7 bits or fewer. Weights
// of 8 bits are read where they are, those of 4 bits from a buffer.

constexpr int kRowOffset = 128;
static_assert(kRowOffset == kInnerOffset, "of both kinds of rows");

size_t UnsignedStride(size_t k) { return RoundUp(k, kTileGroup); }

size_t PreparedBytes(const PackedMatMul& op, PackedMatMulBlock* whole) {
  if (whole->row_end <= kFewRows) return 0;
  whole->has_narrow_rows =
      PaysInner(op.n, op.k) && op.has_narrow_weights && AreNarrowRows(op, *whole);
  return whole->has_narrow_rows ? InnerBytes(whole->row_end, op.k)
                                : whole->row_end * UnsignedStride(op.k);
}

bool PrepareRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  if (block.has_narrow_rows) {
    PrepareInner(op, block);
  } else {
    MakeUnsigned(op, block, kRowOffset, UnsignedStride(op.k));
  }
  return true;
}

// A product as it is.
struct Direct {
  static constexpr size_t kGroups = 1;  // at a time
  static constexpr size_t kChunk = kPackedChunk;
  static constexpr size_t kRowsAtOnce = 18;  // between which the next weights are asked for
  static_assert(kRowUnit % Dpbusd::kRows == 0 && kRowsAtOnce % Dpbusd::kRows == 0, "whole tiles");

  static const int32_t* OfChannels(const PackedMatMul& op) { return op.weight_sums; }

  static PQV_INLINE void Multiply(const PackedMatMul& op, const PackedMatMulBlock& block,
                                  size_t row, size_t rows, size_t k, size_t count,
                                  const Panels& panels, const TileSums& sums) {
    const size_t stride = UnsignedStride(op.k);
    const uint8_t* const a = block.prepared + row * stride + k;
    MultiplyGroups<Dpbusd, true>(reinterpret_cast<const int8_t*>(a), stride, rows, panels.first,
                                 panels.bytes, Groups(count), Dpbusd::Groups(255, 127), sums);
  }
};

// Winograd's inner product.
struct Inner {
  static constexpr size_t kGroups = kTripleGroups;
  static constexpr size_t kChunk = kInnerChunk;
  static constexpr size_t kRowsAtOnce = 20;
  static_assert(kRowUnit % kInnerRows == 0 && kRowsAtOnce % kInnerRows == 0, "whole tiles");

  static const int32_t* OfChannels(const PackedMatMul& op) {
    return op.weight_sums + PaddedChannels(op.n);
  }

  static PQV_INLINE void Multiply(const PackedMatMul& op, const PackedMatMulBlock& block,
                                  size_t row, size_t rows, size_t k, size_t count,
                                  const Panels& panels, const TileSums& sums) {
    const int32_t* const of_rows = InnerOfRows(block.prepared, block.prepared_rows, op.k);
    const size_t stride = InnerStride(op.k);
    MultiplyTriples(block.prepared + row * stride + k, stride, rows, panels.first, panels.bytes,
                    Triples(count), k == 0 ? of_rows + row : nullptr, sums);
  }
};

// What the sums of channels begin with beside the bias.
template <int kBits>
bool SumWeights(const PackedMatMul& op, int32_t* sums) {
  alignas(32) uint8_t buffer[2 * kPanelBytes];
  const __m256i zero = _mm256_setzero_si256();
  const __m256i offset = _mm256_set1_epi8(static_cast<char>(kInnerOffset));
  int32_t* const of_channels = sums + PaddedChannels(op.n);
  __m256i beyond = zero;  // 7 bits, in the sign
  for (size_t n = 0; n < op.n; n += kTileChannels) {
    __m256i direct = zero;
    __m256i inner = zero;
    for (size_t k = 0; k < op.k; k += kInnerChunk) {
      const size_t count = Min(op.k - k, kInnerChunk);
      const uint8_t* y = MakePanels<kBits>(op, n, k, count, kTripleGroups, buffer).first;
      for (size_t t = 0; t < Triples(count); ++t, y += kTripleGroups * kTileBytes) {
        const __m256i triple[] = {Load32Bytes(y), Load32Bytes(y + kTileBytes),
                                  Load32Bytes(y + 2 * kTileBytes)};
        for (const __m256i& x : triple) {
          Dpbusd::Add(offset, x, &direct);
          beyond = _mm256_or_si256(beyond, _mm256_sub_epi8(x, _mm256_set1_epi8(kMinNarrow)));
        }
        Dpbusd::Add(_mm256_xor_si256(triple[1], offset), triple[0], &inner);
        Dpbusd::Add(offset, triple[2], &inner);
      }
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + n), _mm256_sub_epi32(zero, direct));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(of_channels + n), _mm256_sub_epi32(zero, inner));
  }
  return _mm256_movemask_epi8(beyond) == 0;
}

template <int kBits, typename Epilogue>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  if (block.prepared == nullptr) return RunBytes<Dpbusd, kBits, Epilogue>(op, block, y);
  if (block.has_narrow_rows) return RunPrepared<kBits, Inner, Epilogue>(op, block, y);
  RunPrepared<kBits, Direct, Epilogue>(op, block, y);
}

template <int kBits>
constexpr PackedMatMulKernel Kernel() {
  PackedMatMulKernel kernel = {kRowUnit, kLanes, Run<kBits, ToInt8>, nullptr};
  if (kBits == 8) kernel.run_to_int32 = Run<8, ToInt32>;
  kernel.prepared_bytes = PreparedBytes;
  kernel.prepare = PrepareRows;
  kernel.sum_weights = SumWeights<kBits>;
  return kernel;
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = Kernel<4>();
const PackedMatMulKernel kPackedInt8MatMul = Kernel<8>();

}  // namespace avxvnni
}  // namespace pqv
