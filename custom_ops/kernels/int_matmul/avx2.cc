#include "kernels/common/fixed_point_avx2.h"
#include "kernels/common/tile_avx2.h"
#include "kernels/int_matmul/int_matmul.h"

namespace pqv {
namespace avx2 {
namespace {

constexpr size_t kChunk = 512;     // k per pass: 8 KiB of panel, 4 KiB of activations
constexpr size_t kBlockRows = 96;  // rows that share a packed panel

size_t Min(size_t a, size_t b) { return a < b ? a : b; }

// Transposes 8 rows of 8 pairs of k into 8 rows (one per pair) of 8 channels, 32 bytes apart.
void TransposePairs(const int8_t* b, size_t stride, int8_t* panel) {
  __m128i row[8];
  for (size_t i = 0; i < 8; ++i) {
    row[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + i * stride));
  }
  __m128i half[8];  // [2i], [2i + 1]: pairs 0..3 and 4..7 of channels 2i, 2i + 1
  for (size_t i = 0; i < 4; ++i) {
    half[2 * i] = _mm_unpacklo_epi16(row[2 * i], row[2 * i + 1]);
    half[2 * i + 1] = _mm_unpackhi_epi16(row[2 * i], row[2 * i + 1]);
  }
  for (size_t upper = 0; upper < 2; ++upper) {
    const __m128i low01 = _mm_unpacklo_epi32(half[upper], half[2 + upper]);
    const __m128i low23 = _mm_unpackhi_epi32(half[upper], half[2 + upper]);
    const __m128i high01 = _mm_unpacklo_epi32(half[4 + upper], half[6 + upper]);
    const __m128i high23 = _mm_unpackhi_epi32(half[4 + upper], half[6 + upper]);
    __m128i* target = reinterpret_cast<__m128i*>(panel + 4 * 32 * upper);
    _mm_storeu_si128(target, _mm_unpacklo_epi64(low01, high01));
    _mm_storeu_si128(target + 2, _mm_unpackhi_epi64(low01, high01));
    _mm_storeu_si128(target + 4, _mm_unpacklo_epi64(low23, high23));
    _mm_storeu_si128(target + 6, _mm_unpackhi_epi64(low23, high23));
  }
}

// Packs `channels` rows of B as a "k2n16" panel, zero up to 16 channels and an even k.
void PackPanel(const int8_t* b, size_t stride, size_t channels, size_t k, int8_t* panel) {
  size_t vectorised = 0;  // k that the transposition handled
  if (channels == kLanes) {
    for (; vectorised + 16 <= k; vectorised += 16) {
      int8_t* target = panel + vectorised * kLanes;
      TransposePairs(b + vectorised, stride, target);
      TransposePairs(b + 8 * stride + vectorised, stride, target + 16);
    }
  }
  for (size_t i = vectorised; i < k; i += 2) {
    int8_t* target = panel + i * kLanes;
    for (size_t c = 0; c < kLanes; ++c) {
      target[2 * c] = c < channels ? b[c * stride + i] : int8_t{0};
      target[2 * c + 1] = c < channels && i + 1 < k ? b[c * stride + i + 1] : int8_t{0};
    }
  }
}

// 16 or fewer channels from n on, kBlockRows or fewer rows from m on.
void RunBlock(const IntMatMul& op, size_t m, size_t rows, size_t n, size_t channels) {
  alignas(32) int32_t sums[kBlockRows][kLanes] = {};
  alignas(32) int8_t panel[kChunk * kLanes];
  WideRows<kChunk> wide;
  for (size_t k = 0; k < op.k; k += kChunk) {
    const size_t k_count = Min(op.k - k, kChunk);
    PackPanel(op.b + n * op.b_stride + k, op.b_stride, channels, k_count, panel);
    for (size_t r = 0; r < rows; r += kTileRows) {
      const size_t tile_rows = Min(rows - r, kTileRows);
      WidenRows(op.a + (m + r) * op.a_stride + k, op.a_stride, tile_rows, k_count, &wide);
      AccumulateTile(wide, tile_rows, panel, (k_count + 1) / 2, sums + r);
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    StorePartial32(op.y + (m + r) * op.y_stride + n, Load32(sums[r]), channels);
  }
}

}  // namespace

void RunIntMatMul(const IntMatMul& op) {
  for (size_t m = 0; m < op.m; m += kBlockRows) {
    for (size_t n = 0; n < op.n; n += kLanes) {
      RunBlock(op, m, Min(op.m - m, kBlockRows), n, Min(op.n - n, kLanes));
    }
  }
}

}  // namespace avx2
}  // namespace pqv
