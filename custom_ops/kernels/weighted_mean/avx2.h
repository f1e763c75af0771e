// What the AVX2 and the AVX-VNNI kernel of IntWeightedMean share.

#ifndef PQV_KERNELS_WEIGHTED_MEAN_AVX2_H_
#define PQV_KERNELS_WEIGHTED_MEAN_AVX2_H_

#include "kernels/common/arithmetic_avx2.h"
#include "kernels/gemm/tile_avx2.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {
namespace avx2 {

constexpr size_t kMeanChunk = 256;  // n per pass
constexpr size_t kMeanPanelBytes = kMeanChunk / kTileGroup * kTileBytes;
constexpr size_t kMaxInt4 = 8;  // magnitude

// Rows of uint8.
template <size_t kCount>
static inline void InspectWeights(const uint8_t* w, size_t stride, size_t rows, size_t n,
                                  ByteRows<kCount>* found) {
  __m256i largest = _mm256_setzero_si256();
  for (size_t r = 0; r < rows; ++r, w += stride) {
    __m256i sums = _mm256_setzero_si256();  // 64-bit lanes whose upper halves stay zero
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
      const __m256i x = Load32Bytes(w + i);
      sums = _mm256_add_epi64(sums, _mm256_sad_epu8(x, _mm256_setzero_si256()));
      largest = _mm256_max_epu8(largest, x);
    }
    for (; i < n; i += kLanes) {
      const __m256i x = _mm256_zextsi128_si256(LoadPartial8(w + i, Min(n - i, kLanes)));
      sums = _mm256_add_epi64(sums, _mm256_sad_epu8(x, _mm256_setzero_si256()));
      largest = _mm256_max_epu8(largest, x);
    }
    found->sum[r] = Sum32(sums);
    const size_t tail = n % kTileGroup;
    for (size_t i = 0; i < kTileGroup; ++i) {
      found->tail[r][i] = static_cast<int8_t>(i < tail ? w[n - tail + i] : 0);
    }
  }
  found->largest = Max8(largest);
}

// What a row is requantized by, as it is broadcast.
struct Scale {
  int32_t rounding;
  int32_t right;
  int32_t left;
  int16_t multiplier;
};

static inline Scale MakeScale(const RowScale& scale) {
  const int right = scale.shift > 0 ? scale.shift : 0;
  return {right > 0 ? 1 << (right - 1) : 0, right, right - scale.shift,
          static_cast<int16_t>(scale.multiplier)};
}

static PQV_INLINE Requantizer LoadScale(const Scale& scale) {
  const __m256i rounding = _mm256_set1_epi32(scale.rounding);
  const __m256i right = _mm256_set1_epi32(scale.right);
  const __m256i left = _mm256_set1_epi32(scale.left);
  return {{{rounding, rounding}, {right, right}, {left, left}, scale.left > 0},
          _mm256_set1_epi16(scale.multiplier)};
}

// Packs 16 or fewer columns of `rows` rows of V as two panels `panel_bytes` apart, zero-padded.
static inline void PackPanels(const int8_t* v, size_t stride, size_t rows, size_t columns,
                              size_t panel_bytes, int8_t* panels) {
  for (size_t j = 0; j < rows; j += kTileGroup) {
    __m128i x[kTileGroup];
    for (size_t i = 0; i < kTileGroup; ++i) {
      x[i] = j + i < rows ? LoadPartial8(v + (j + i) * stride, columns) : _mm_setzero_si128();
    }
    const __m128i low01 = _mm_unpacklo_epi8(x[0], x[1]);
    const __m128i low23 = _mm_unpacklo_epi8(x[2], x[3]);
    const __m128i high01 = _mm_unpackhi_epi8(x[0], x[1]);
    const __m128i high23 = _mm_unpackhi_epi8(x[2], x[3]);
    __m128i* target = reinterpret_cast<__m128i*>(panels + j * kTileChannels);
    _mm_store_si128(target, _mm_unpacklo_epi16(low01, low23));
    _mm_store_si128(target + 1, _mm_unpackhi_epi16(low01, low23));
    target = reinterpret_cast<__m128i*>(panels + panel_bytes + j * kTileChannels);
    _mm_store_si128(target, _mm_unpacklo_epi16(high01, high23));
    _mm_store_si128(target + 1, _mm_unpackhi_epi16(high01, high23));
  }
}

// Dot::kBlockRows or fewer rows.
template <typename Dot>
class MeanBlock {
 public:
  MeanBlock(const WeightedMean& op, size_t m, size_t rows)
      : op_(op), w_(op.w + m * op.w_stride), y_(op.y + m * op.y_stride), rows_(rows) {
    InspectWeights(w_, op.w_stride, rows, op.n, &found_);
    for (size_t r = 0; r < rows; ++r) {
      const uint32_t sum = static_cast<uint32_t>(found_.sum[r]);
      scales_[r] = MakeScale(WeightedMeanScale(op.shift, op.multiplier, sum));
    }
  }

  void Run() {
    alignas(32) int32_t sums[kBlockRows][kLanes];
    for (size_t d = 0; d < op_.d; d += kLanes) {
      const size_t columns = Min(op_.d - d, kLanes);
      size_t j = 0;
      do {  // once for N = 0, whose sums are 0
        const size_t count = Min(op_.n - j, kMeanChunk);
        RunChunk(d, columns, j, count, j == 0 ? FromZero(sums[0], kLanes) : GoOn(sums[0], kLanes));
        j += count;
      } while (j < op_.n);
      Store(sums, columns, y_ + d);
    }
  }

 private:
  static constexpr size_t kBlockRows = Dot::kBlockRows;

  void Store(const int32_t (*sums)[kLanes], size_t columns, int8_t* y) const {
    // Copies, which stores of int8 cannot change.
    const size_t y_stride = op_.y_stride;
    const int y_bits = op_.y_bits;
    for (size_t r = 0; r < rows_; ++r) {
      const __m256i u = Requantize16(LoadScale(scales_[r]), Load32(sums[r]));
      StorePartial8(y + r * y_stride, Narrow16(u, y_bits), columns);
    }
  }

  void RunChunk(size_t d, size_t columns, size_t j, size_t count, const TileSums& sums) {
    alignas(32) int8_t panels[2 * kMeanPanelBytes];
    const size_t bytes = Groups(count) * kTileBytes;
    PackPanels(op_.v + j * op_.v_stride + d, op_.v_stride, count, columns, bytes, panels);
    if constexpr (!Dot::kTakesAll) {
      if (!IsInt4(panels, 2 * bytes)) {
        return MultiplyWideRows(wide_.At(w_, op_.w_stride, rows_, j, count), rows_, panels, bytes,
                                Groups(count), sums);
      }
    }
    MultiplyRows<Dot, true>(reinterpret_cast<const int8_t*>(w_ + j), op_.w_stride, found_, rows_,
                            reinterpret_cast<const uint8_t*>(panels), bytes, count,
                            Dot::Groups(found_.largest, kMaxInt4), sums);
  }

  const WeightedMean& op_;
  const uint8_t* w_;
  int8_t* y_;
  size_t rows_;
  ByteRows<kBlockRows> found_;
  Scale scales_[kBlockRows];
  Widened<Dot, kBlockRows, kMeanChunk> wide_;
};

template <typename Dot>
static void RunWeightedMeanWith(const WeightedMean& op) {
  const size_t rows = EvenPart(op.m, Dot::kBlockRows, Dot::kRows);
  for (size_t m = 0; m < op.m; m += rows) MeanBlock<Dot>(op, m, Min(op.m - m, rows)).Run();
}

}  // namespace avx2
}  // namespace pqv

#endif  // PQV_KERNELS_WEIGHTED_MEAN_AVX2_H_
