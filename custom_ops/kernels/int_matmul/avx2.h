// What the AVX2 and the AVX-VNNI kernel of IntMatMul share.

#ifndef PQV_KERNELS_INT_MATMUL_AVX2_H_
#define PQV_KERNELS_INT_MATMUL_AVX2_H_

#include "kernels/common/arithmetic_avx2.h"
#include "kernels/gemm/tile_avx2.h"
#include "kernels/int_matmul/int_matmul.h"

namespace pqv {
namespace avx2 {

constexpr size_t kMatMulChunk = 256;  // k per pass
constexpr size_t kMatMulPanelBytes = kMatMulChunk / kTileGroup * kTileBytes;

static PQV_INLINE __m256i LoadHalves(const int8_t* low, const int8_t* high) {
  return _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low))),
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)), 1);
}

// 16 k of 8 rows of B as four groups of a panel.
static PQV_INLINE void TransposeGroups(const int8_t* const* rows, size_t k, int8_t* panel) {
  __m256i x[4];  // rows c and c + 4
  for (size_t c = 0; c < 4; ++c) x[c] = LoadHalves(rows[c] + k, rows[c + 4] + k);
  const __m256i low01 = _mm256_unpacklo_epi32(x[0], x[1]);
  const __m256i low23 = _mm256_unpacklo_epi32(x[2], x[3]);
  const __m256i high01 = _mm256_unpackhi_epi32(x[0], x[1]);
  const __m256i high23 = _mm256_unpackhi_epi32(x[2], x[3]);
  __m256i* target = reinterpret_cast<__m256i*>(panel + k * kTileChannels);
  _mm256_store_si256(target, _mm256_unpacklo_epi64(low01, low23));
  _mm256_store_si256(target + 1, _mm256_unpackhi_epi64(low01, low23));
  _mm256_store_si256(target + 2, _mm256_unpacklo_epi64(high01, high23));
  _mm256_store_si256(target + 3, _mm256_unpackhi_epi64(high01, high23));
}

// Packs `channels` rows of B, 8 or fewer, zero up to 8 channels and a multiple of 4 k.
static inline void PackPanel(const int8_t* b, size_t stride, size_t channels, size_t k,
                             int8_t* panel) {
  alignas(16) static constexpr int8_t kZeros[kMatMulChunk] = {};
  const int8_t* rows[kTileChannels];
  for (size_t c = 0; c < kTileChannels; ++c) rows[c] = c < channels ? b + c * stride : kZeros;
  size_t i = 0;
  for (; i + 16 <= k; i += 16) TransposeGroups(rows, i, panel);
  for (; i < k; i += kTileGroup) {
    int8_t* target = panel + i * kTileChannels;
    memset(target, 0, kTileBytes);
    for (size_t c = 0; c < kTileChannels; ++c) {
      memcpy(target + c * kTileGroup, rows[c] + i, Min(k - i, kTileGroup));
    }
  }
}

static inline void AddOffset(int offset, uint8_t* panels, size_t count) {
  const __m256i offsets = _mm256_set1_epi8(static_cast<char>(offset));
  for (size_t i = 0; i < count; i += kTileBytes) {
    __m256i* x = reinterpret_cast<__m256i*>(panels + i);
    _mm256_store_si256(x, _mm256_add_epi8(_mm256_load_si256(x), offsets));
  }
}

// Dot::kBlockRows or fewer rows.
template <typename Dot>
class MatMulBlock {
 public:
  MatMulBlock(const IntMatMul& op, size_t m, size_t rows)
      : op_(op), a_(op.a + m * op.a_stride), y_(op.y + m * op.y_stride), rows_(rows) {
    InspectRows(a_, op.a_stride, rows, op.k, &found_);
    OffsetRows(found_, rows, kOffset, offset_);
  }

  void Run() {
    for (size_t n = 0; n < op_.n; n += kLanes) {
      const size_t channels = Min(op_.n - n, kLanes);
      if (channels == kLanes) {
        RunChannels(n, channels, y_ + n, op_.y_stride);
        continue;
      }
      alignas(32) int32_t sums[kBlockRows][kLanes];
      RunChannels(n, channels, sums[0], kLanes);
      for (size_t r = 0; r < rows_; ++r) {
        memcpy(y_ + r * op_.y_stride + n, sums[r], channels * sizeof(int32_t));
      }
    }
  }

 private:
  static constexpr size_t kBlockRows = Dot::kBlockRows;
  // Makes what `Dot` takes unsigned: all bytes, or int4.
  static constexpr int kOffset = Dot::kTakesAll ? 128 : 8;

  void RunChannels(size_t n, size_t channels, int32_t* sums, size_t stride) {
    size_t k = 0;
    do {  // once for K = 0, whose sums are 0
      const size_t count = Min(op_.k - k, kMatMulChunk);
      RunChunk(n, channels, k, count, k == 0 ? FromZero(sums, stride) : GoOn(sums, stride));
      k += count;
    } while (k < op_.k);
  }

  void RunChunk(size_t n, size_t channels, size_t k, size_t count, TileSums sums) {
    alignas(32) int8_t panels[2 * kMatMulPanelBytes];
    const size_t bytes = Groups(count) * kTileBytes;
    const size_t low = Min(channels, kTileChannels);
    const int8_t* b = op_.b + n * op_.b_stride + k;
    PackPanel(b, op_.b_stride, low, count, panels);
    PackPanel(b + low * op_.b_stride, op_.b_stride, channels - low, count, panels + bytes);
    if constexpr (!Dot::kTakesAll) {
      // The offset is taken off all of k or of nothing.
      if (op_.k > kMatMulChunk || !IsInt4(panels, 2 * bytes)) {
        return MultiplyWideRows(wide_.At(a_, op_.a_stride, rows_, k, count), rows_, panels, bytes,
                                Groups(count), sums);
      }
    }
    uint8_t* const unsigned_panels = reinterpret_cast<uint8_t*>(panels);
    AddOffset(kOffset, unsigned_panels, 2 * bytes);
    if (k == 0) {
      sums.start = offset_[0];
      sums.start_stride = kLanes;
    }
    MultiplyRows<Dot, false>(a_ + k, op_.a_stride, found_, rows_, unsigned_panels, bytes, count,
                             Dot::Groups(found_.largest, 2 * kOffset - 1), sums);
  }

  const IntMatMul& op_;
  const int8_t* a_;
  int32_t* y_;
  size_t rows_;
  ByteRows<kBlockRows> found_;
  alignas(32) int32_t offset_[kBlockRows][kLanes];
  Widened<Dot, kBlockRows, kMatMulChunk> wide_;
};

template <typename Dot>
static void RunIntMatMulWith(const IntMatMul& op) {
  const size_t rows = EvenPart(op.m, Dot::kBlockRows, Dot::kRows);
  for (size_t m = 0; m < op.m; m += rows) {
    MatMulBlock<Dot>(op, m, Min(op.m - m, rows)).Run();
  }
}

}  // namespace avx2
}  // namespace pqv

#endif  // PQV_KERNELS_INT_MATMUL_AVX2_H_
