#include "kernels/packed_matmul/prepared_avx2.h"

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

// int8 weights of 7 bits and such rows, which are unsigned by an offset: the products of two groups
// of k, four of each channel, fit in 16 bits.

constexpr int kNarrowOffset = -kMinNarrow;
constexpr size_t kNarrowRows = 4;  // of a tile: 8 sums, 4 weights, 2 of the row, 1 product, ones
constexpr size_t kPairGroups = 2;
constexpr size_t kPairK = kPairGroups * kTileGroup;
static_assert(4 * (kMaxNarrow + kNarrowOffset) * -kMinNarrow <= INT16_MAX, "sums of 16 bits");

size_t NarrowStride(size_t k) { return RoundUp(k, kPairK); }

size_t NarrowBytes(const PackedMatMul& op, PackedMatMulBlock* whole) {
  const bool are_many = whole->row_end > kFewRows;
  whole->has_narrow_rows = are_many && op.has_narrow_weights && AreNarrowRows(op, *whole);
  return whole->has_narrow_rows ? whole->row_end * NarrowStride(op.k) : 0;
}

bool PrepareNarrow(const PackedMatMul& op, const PackedMatMulBlock& block) {
  MakeUnsigned(op, block, kNarrowOffset, NarrowStride(op.k));
  return true;
}

// The sums of `tiles` times kRows rows and two panels.
template <size_t kRows>
__attribute__((noinline)) void MultiplyPairs(const uint8_t* a, size_t stride, size_t tiles,
                                             const Panels& panels, size_t pairs,
                                             const TileSums& sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (size_t row = 0; row < tiles * kRows; row += kRows, a += kRows * stride) {
    __m256i low[kRows];   // of the first panel
    __m256i high[kRows];  // of the second
    ForRows<kRows>([&](size_t r) PQV_LAMBDA { low[r] = high[r] = _mm256_setzero_si256(); });
    const uint8_t* w = panels.first;
    for (size_t i = 0; i < pairs; ++i, w += kPairGroups * kTileBytes) {
      const __m256i low0 = Load32Bytes(w);
      const __m256i low1 = Load32Bytes(w + kTileBytes);
      const __m256i high0 = Load32Bytes(w + panels.bytes);
      const __m256i high1 = Load32Bytes(w + panels.bytes + kTileBytes);
      ForRows<kRows>([&](size_t r) PQV_LAMBDA {
        const __m256i x0 = BroadcastGroup(a + r * stride + i * kPairK);
        const __m256i x1 = BroadcastGroup(a + r * stride + i * kPairK + kTileGroup);
        const auto add = [&](__m256i w0, __m256i w1, __m256i* sum) PQV_LAMBDA {
          __m256i products = _mm256_maddubs_epi16(x0, w0);
          Add16InPlace(_mm256_maddubs_epi16(x1, w1), &products);
          Add32InPlace(_mm256_madd_epi16(products, ones), sum);
        };
        add(low0, low1, &low[r]);
        add(high0, high1, &high[r]);
      });
    }
    ForRows<kRows>([&](size_t r) PQV_LAMBDA {
      Store(sums, row + r, 0, low[r]);
      Store(sums, row + r, kTileChannels, high[r]);
    });
  }
}

struct Narrow {
  static constexpr size_t kGroups = kPairGroups;
  static constexpr size_t kChunk = kPackedChunk;
  static constexpr size_t kRowsAtOnce = 20;
  static_assert(kRowUnit % kNarrowRows == 0 && kRowsAtOnce % kNarrowRows == 0, "whole tiles");

  static const int32_t* OfChannels(const PackedMatMul& op) { return op.weight_sums; }

  static PQV_INLINE void Multiply(const PackedMatMul& op, const PackedMatMulBlock& block,
                                  size_t row, size_t rows, size_t k, size_t count,
                                  const Panels& panels, const TileSums& sums) {
    const size_t stride = NarrowStride(op.k);
    const size_t pairs = CeilDivide(count, kPairK);
    const uint8_t* const a = block.prepared + row * stride + k;
    ForTiles<kNarrowRows>(rows, [&](auto tile_rows, size_t first, size_t tiles) {
      MultiplyPairs<decltype(tile_rows)::kValue>(a + first * stride, stride, tiles, panels, pairs,
                                                 Move(sums, first, 0));
    });
  }
};

// What the offset of rows adds to the sums of channels, with its sign turned.
bool SumNarrow(const PackedMatMul& op, int32_t* sums) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i offset = _mm256_set1_epi8(kNarrowOffset);
  __m256i beyond = zero;  // 7 bits, in the sign
  for (size_t n = 0; n < op.n; n += kTileChannels) {
    const uint8_t* const panel = Group(op.weights, 8, op.k, 0, n);
    __m256i sum = zero;
    for (size_t g = 0; g < Groups(op.k); ++g) {
      const __m256i x = Load32Bytes(panel + g * kTileBytes);
      beyond = _mm256_or_si256(beyond, _mm256_sub_epi8(x, _mm256_set1_epi8(kMinNarrow)));
      sum = _mm256_add_epi32(sum, Maddubs::Sums(_mm256_maddubs_epi16(offset, x)));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + n), _mm256_sub_epi32(zero, sum));
  }
  return _mm256_movemask_epi8(beyond) == 0;
}

template <typename Epilogue>
void RunInt8(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  if (block.prepared == nullptr) return RunWide<Epilogue>(op, block, y);
  RunPrepared<8, Narrow, Epilogue>(op, block, y);
}

constexpr PackedMatMulKernel Int8Kernel() {
  PackedMatMulKernel kernel = {kRowUnit, kLanes, RunInt8<ToInt8>, RunInt8<ToInt32>};
  kernel.prepared_bytes = NarrowBytes;
  kernel.prepare = PrepareNarrow;
  kernel.sum_weights = SumNarrow;
  return kernel;
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = {Maddubs::kRows, kLanes, RunBytes<Maddubs, 4, ToInt8>,
                                              nullptr};
const PackedMatMulKernel kPackedInt8MatMul = Int8Kernel();

}  // namespace avx2
}  // namespace pqv
