#include "kernels/common/fixed_point_avx2.h"
#include "kernels/common/tile_avx2.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace avx2 {
namespace {

constexpr size_t kChunk = 512;     // n per pass: 8 KiB of values, 4 KiB of weights
constexpr size_t kBlockRows = 96;  // rows that share a packed panel

size_t Min(size_t a, size_t b) { return a < b ? a : b; }

uint32_t Sum8(const uint8_t* x, size_t n) {
  __m256i sums = _mm256_setzero_si256();  // 64-bit lanes whose upper halves stay zero
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
  }
  uint32_t sum = static_cast<uint32_t>(Sum32(sums));
  for (; i < n; ++i) sum += x[i];
  return sum;
}

// Packs 16 or fewer columns of `rows` rows of V as a "k2n16" panel, zero-padded.
void PackPanel(const int8_t* v, size_t stride, size_t rows, size_t columns, int8_t* panel) {
  for (size_t j = 0; j < rows; j += 2) {
    const int8_t* row = v + j * stride;
    const __m128i even = LoadPartial8(row, columns);
    const __m128i odd = j + 1 < rows ? LoadPartial8(row + stride, columns) : _mm_setzero_si128();
    __m128i* target = reinterpret_cast<__m128i*>(panel + j * kLanes);
    _mm_storeu_si128(target, _mm_unpacklo_epi8(even, odd));
    _mm_storeu_si128(target + 1, _mm_unpackhi_epi8(even, odd));
  }
}

// 16 or fewer columns from d on, kBlockRows or fewer rows from m on.
void RunBlock(const WeightedMean& op, const RowScale* scales, size_t m, size_t rows, size_t d,
              size_t columns) {
  alignas(32) int32_t sums[kBlockRows][kLanes] = {};
  alignas(32) int8_t panel[kChunk * kLanes];
  WideRows<kChunk> wide;
  for (size_t j = 0; j < op.n; j += kChunk) {
    const size_t count = Min(op.n - j, kChunk);
    PackPanel(op.v + j * op.v_stride + d, op.v_stride, count, columns, panel);
    for (size_t r = 0; r < rows; r += kTileRows) {
      const size_t tile_rows = Min(rows - r, kTileRows);
      WidenRows(op.w + (m + r) * op.w_stride + j, op.w_stride, tile_rows, count, &wide);
      AccumulateTile(wide, tile_rows, panel, (count + 1) / 2, sums + r);
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    const Requantizer requantizer = UniformRequantizer(scales[r].shift, scales[r].multiplier);
    const __m256i u = Requantize16(requantizer, Load32(sums[r]));
    StorePartial8(op.y + (m + r) * op.y_stride + d, Narrow16(u, op.y_bits), columns);
  }
}

}  // namespace

void RunWeightedMean(const WeightedMean& op) {
  RowScale scales[kBlockRows];
  for (size_t m = 0; m < op.m; m += kBlockRows) {
    const size_t rows = Min(op.m - m, kBlockRows);
    for (size_t r = 0; r < rows; ++r) {
      const uint32_t weight_sum = Sum8(op.w + (m + r) * op.w_stride, op.n);
      scales[r] = WeightedMeanScale(op.shift, op.multiplier, weight_sum);
    }
    for (size_t d = 0; d < op.d; d += kLanes) {
      RunBlock(op, scales, m, rows, d, Min(op.d - d, kLanes));
    }
  }
}

}  // namespace avx2
}  // namespace pqv
