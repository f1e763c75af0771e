// What the AVX2 and the AVX-VNNI kernels of the packed matmuls share: products of bytes, and the
// epilogues.

#ifndef PQV_KERNELS_PACKED_MATMUL_AVX2_H_
#define PQV_KERNELS_PACKED_MATMUL_AVX2_H_

#include "kernels/common/arithmetic_avx2.h"
#include "kernels/gemm/tile_avx2.h"
#include "kernels/packed_matmul/layout.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace avx2 {

static_assert(kPanelChannels == kTileChannels && kGroupSize == kTileGroup, "tiles read the file");

// The epilogues turn the sums of `rows` rows from `row` on and 16 channels from n on into output.

struct ToInt8 {
  using Output = int8_t;

  static PQV_INLINE void Store(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row,
                               size_t rows, size_t n, const int32_t (*sums)[kLanes], int8_t* y) {
    const size_t count = Min(block.channel_end - n, kLanes);
    Requantizer requantizer = LoadRequantizer(op.requantizer, n);
    // A right shift adds its rounding anyway; where there is a left one, that is zero.
    requantizer.shifter.rounding = Load32(op.rounded_bias + n);
    // Copies, which stores of int8 cannot change.
    const size_t y_stride = block.y_stride;
    const int y_bits = op.y_bits;
    y += row * y_stride + n;
    if (op.residual_multiplier == nullptr) {
      for (size_t r = 0; r < rows; ++r) {
        const __m256i u = Requantize16(requantizer, Load32(sums[r]));
        StorePartial8(y + r * y_stride, Narrow16(u, y_bits), count);
      }
      return;
    }
    const __m256i multiplier = Load32Bytes(op.residual_multiplier + n);
    size_t residual_row = row % block.residual_rows;
    for (size_t r = 0; r < rows; ++r) {
      const int8_t* residual = block.residual + residual_row * block.residual_stride + n;
      const __m256i x = _mm256_slli_epi16(_mm256_cvtepi8_epi16(LoadPartial8(residual, count)), 8);
      const __m256i u = Requantize16(requantizer, Load32(sums[r]));
      StorePartial8(y + r * y_stride,
                    Narrow16(_mm256_adds_epi16(u, _mm256_mulhrs_epi16(x, multiplier)), y_bits),
                    count);
      if (++residual_row == block.residual_rows) residual_row = 0;
    }
  }
};

struct ToInt32 {
  using Output = int32_t;

  static PQV_INLINE void Store(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row,
                               size_t rows, size_t n, const int32_t (*sums)[kLanes], int32_t* y) {
    const size_t count = Min(block.channel_end - n, kLanes);
    const Int32x16 bias = Load32(op.bias + n);
    for (size_t r = row; r < row + rows; ++r) {
      StorePartial32(y + r * block.y_stride + n, Add32(Load32(*sums++), bias), count);
    }
  }
};

// Weights as unsigned bytes, where rows are not prepared. A task expands those of 16 channels, plus
// an offset, into a buffer that stays in the L1 cache, and uses them for many rows. What the offset
// adds to a sum, itself times the sum of the row's activations, is taken off once per row.

constexpr size_t kPackedChunk = 1024;  // k per pass: 16 KiB of weights
constexpr size_t kPackedRows = 120;    // rows that share them

using PackedRows = ByteRows<kPackedRows>;

// Makes weights unsigned.
template <int kBits>
constexpr int kOffset = kBits == 8 ? 128 : 8;

// The weights of a vector of the file plus the offset: of a group of 8 channels, or of a half of
// each of two groups.
template <int kBits>
static PQV_INLINE __m256i AddOffset(__m256i x) {
  if constexpr (kBits == 4) x = _mm256_and_si256(x, _mm256_set1_epi8(0x0F));
  return _mm256_xor_si256(x, _mm256_set1_epi8(static_cast<char>(kOffset<kBits>)));
}

// A panel of 8 channels of the file, plus the offset or, of 4 bits, as signed bytes.
template <int kBits, bool kIsSigned = false>
static inline void Expand(const uint8_t* panel, size_t groups, uint8_t* target) {
  for (size_t g = 0; g < groups; ++g) {
    __m256i x;
    if constexpr (kBits == 8) {
      x = Load32Bytes(panel + g * GroupBytes(8));
    } else {
      const uint8_t* const group = panel + g * GroupBytes(4);
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(group));
      x = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
    }
    x = AddOffset<kBits>(x);
    if constexpr (kIsSigned) x = _mm256_sub_epi8(x, _mm256_set1_epi8(kOffset<kBits>));
    _mm256_store_si256(reinterpret_cast<__m256i*>(target + g * kTileBytes), x);
  }
}

template <typename Dot, int kBits>
static PQV_INLINE size_t PackedGroups(const PackedRows& found) {
  return Dot::Groups(found.largest, 2 * kOffset<kBits> - 1);
}

// Products of k .. k + count - 1 and 16 channels from n on. Sums of channels beyond the file's are
// those of whatever is in memory.
template <typename Dot, int kBits>
static inline void RunChunk(const PackedMatMul& op, const PackedMatMulBlock& block,
                            const PackedRows& found, size_t row, size_t rows, size_t n, size_t k,
                            const TileSums& sums) {
  constexpr size_t kPanelBytes = kPackedChunk / kTileGroup * kTileBytes;
  alignas(32) uint8_t panels[2 * kPanelBytes];
  const size_t count = Min(op.k - k, kPackedChunk);
  for (size_t half = 0; half < 2 && n + half * kPanelChannels < op.n; ++half) {
    Expand<kBits>(Group(op.weights, kBits, op.k, k, n + half * kPanelChannels), Groups(count),
                  panels + half * kPanelBytes);
  }
  MultiplyRows<Dot, false>(block.a + row * block.a_stride + k, block.a_stride, found, rows, panels,
                           kPanelBytes, count, PackedGroups<Dot, kBits>(found), sums);
}

// So few rows that expanding weights would take longer than multiplying them. They read two groups
// of k at a time.
constexpr size_t kFewRows = 3;

template <typename Dot, int kBits, size_t kRows>
class FewRows {
 public:
  static constexpr size_t kPairBytes = 2 * GroupBytes(kBits);

  PQV_INLINE FewRows() {
    ForRows<kRows>([&](size_t r) PQV_LAMBDA { low_[r] = high_[r] = _mm256_setzero_si256(); });
  }

  // Two groups of kRows rows and of 8 channels.
  PQV_INLINE void Add(const int8_t* a, size_t stride, const uint8_t* pair) {
    const __m256i first = Load32Bytes(pair);
    const __m256i second =
        kBits == 8 ? Load32Bytes(pair + kTileBytes) : _mm256_srli_epi16(first, 4);
    const __m256i low = AddOffset<kBits>(first);
    const __m256i high = AddOffset<kBits>(second);
    ForRows<kRows>([&](size_t r) PQV_LAMBDA {
      int64_t groups;
      memcpy(&groups, a + r * stride, sizeof(groups));
      const __m256i both = _mm256_set1_epi64x(groups);
      Dot::Add(low, Spread<0>(both), &low_[r]);
      Dot::Add(high, Spread<1>(both), &high_[r]);
    });
  }

  PQV_INLINE void Store(const TileSums& sums) const {
    ForRows<kRows>([&](size_t r) PQV_LAMBDA {
      const __m256i low = Dot::Sums(low_[r]);
      const __m256i high = Dot::Sums(high_[r]);
      if constexpr (kBits == 8) {
        avx2::Store(sums, r, 0, _mm256_add_epi32(low, high));
      } else {
        avx2::Store(sums, r, 0,
                    _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                                     _mm256_permute2x128_si256(low, high, 0x31)));
      }
    });
  }

 private:
  // Of two groups of a row, those that the vector kVector of a pair is multiplied by.
  template <int kVector>
  static PQV_INLINE __m256i Spread(__m256i groups) {
    if constexpr (kBits == 8) return _mm256_shuffle_epi32(groups, kVector == 0 ? 0x00 : 0x55);
    return _mm256_shuffle_epi8(groups,
                               _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3,  //
                                                4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7));
  }

  __m256i low_[kRows];   // int8: of the first group; int4: channels 0 .. 3 of either
  __m256i high_[kRows];  // int8: of the second group; int4: channels 4 .. 7 of either
};

// All k of kRows rows and 8 channels.
template <typename Dot, int kBits, size_t kRows>
static __attribute__((noinline)) void MultiplyFew(const int8_t* a, size_t stride,
                                                  const uint8_t* panel, size_t k, size_t limit,
                                                  TileSums sums) {
  using Few = FewRows<Dot, kBits, kRows>;
  constexpr size_t kPairK = 2 * kTileGroup;
  const size_t pairs = k / kPairK;
  for (size_t i = 0; i < pairs;) {
    Few few;
    for (const size_t end = Min(pairs, i + limit); i < end; ++i) {
      few.Add(a + i * kPairK, stride, panel + i * Few::kPairBytes);
    }
    few.Store(sums);
    sums = GoOn(sums.data, sums.stride);
  }
  if (pairs * kPairK == k) return;
  int8_t tail[kRows][kPairK] = {};
  uint8_t last[Few::kPairBytes] = {};
  const size_t done = pairs * kPairK;
  for (size_t r = 0; r < kRows; ++r) memcpy(tail[r], a + r * stride + done, k - done);
  memcpy(last, panel + pairs * Few::kPairBytes, Groups(k - done) * GroupBytes(kBits));
  Few few;
  few.Add(tail[0], sizeof(tail[0]), last);
  few.Store(sums);
}

template <typename Dot, int kBits>
static inline void RunFew(const PackedMatMul& op, const PackedMatMulBlock& block,
                          const PackedRows& found, size_t row, size_t rows, size_t n,
                          const TileSums& sums) {
  const int8_t* a = block.a + row * block.a_stride;
  for (size_t half = 0; half < kLanes && n + half < op.n; half += kPanelChannels) {
    WithCount<kFewRows>(rows, [&](auto count) {
      MultiplyFew<Dot, kBits, decltype(count)::kValue>(
          a, block.a_stride, Group(op.weights, kBits, op.k, 0, n + half), op.k,
          PackedGroups<Dot, kBits>(found), Move(sums, 0, half));
    });
  }
}

template <typename Dot, int kBits, typename Epilogue>
static void RunBytes(const PackedMatMul& op, const PackedMatMulBlock& block,
                     typename Epilogue::Output* y) {
  static_assert(kPackedRows % Dot::kRows == 0, "whole tiles");
  PackedRows found;
  alignas(32) int32_t offset[kPackedRows][kLanes];
  alignas(32) int32_t sums[kPackedRows][kLanes];
  const size_t step = EvenPart(block.row_end - block.row_begin, kPackedRows, Dot::kRows);
  for (size_t row = block.row_begin; row < block.row_end; row += step) {
    const size_t rows = Min(block.row_end - row, step);
    InspectRows(block.a + row * block.a_stride, block.a_stride, rows, op.k, &found);
    OffsetRows(found, rows, kOffset<kBits>, offset);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      if (rows <= kFewRows) {
        RunFew<Dot, kBits>(op, block, found, row, rows, n, {sums[0], kLanes, offset[0], kLanes});
      } else {
        for (size_t k = 0; k < op.k; k += kPackedChunk) {
          const int32_t* start = k == 0 ? offset[0] : sums[0];
          RunChunk<Dot, kBits>(op, block, found, row, rows, n, k, {sums[0], kLanes, start, kLanes});
        }
      }
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

}  // namespace avx2
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_AVX2_H_
