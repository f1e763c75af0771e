// Products of rows that were prepared, with vectors of 256 bits: two panels of 8 channels at a
// time, for as many rows as share them.

#ifndef PQV_KERNELS_PACKED_MATMUL_PREPARED_AVX2_H_
#define PQV_KERNELS_PACKED_MATMUL_PREPARED_AVX2_H_

#include "kernels/gemm/inner_product.h"
#include "kernels/packed_matmul/avx2.h"

namespace pqv {
namespace avx2 {

constexpr size_t kMaxRows = 204;  // that share two panels
constexpr size_t kRowUnit = 12;   // whole tiles of 6 rows and of 4
static_assert(kMaxRows % kRowUnit == 0, "whole tiles");

// Whether all rows are codes of 7 bits.
static inline bool AreNarrowRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  const __m256i lowest = _mm256_set1_epi8(kMinNarrow);
  for (size_t r = block.row_begin; r < block.row_end; ++r) {
    const int8_t* const a = block.a + r * block.a_stride;
    __m256i beyond = _mm256_setzero_si256();  // in the sign
    size_t i = 0;
    for (; i + 32 <= op.k; i += 32) {
      beyond = _mm256_or_si256(beyond, _mm256_sub_epi8(Load32Bytes(a + i), lowest));
    }
    bool are_narrow = _mm256_movemask_epi8(beyond) == 0;
    for (; i < op.k; ++i) are_narrow &= a[i] >= kMinNarrow && a[i] <= kMaxNarrow;
    if (!are_narrow) return false;
  }
  return true;
}

// Prepares rows as bytes plus an offset, `stride` apart, with zeros up to there.
static inline void MakeUnsigned(const PackedMatMul& op, const PackedMatMulBlock& block, int offset,
                                size_t stride) {
  const __m256i offsets = _mm256_set1_epi8(static_cast<char>(offset));
  for (size_t r = block.row_begin; r < block.row_end; ++r) {
    const int8_t* const a = block.a + r * block.a_stride;
    uint8_t* const target = block.prepared + r * stride;
    size_t i = 0;
    for (; i + 32 <= op.k; i += 32) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + i),
                          _mm256_add_epi8(Load32Bytes(a + i), offsets));
    }
    for (; i < op.k; ++i) target[i] = static_cast<uint8_t>(a[i] + offset);
    for (; i < stride; ++i) target[i] = 0;
  }
}

constexpr size_t kPanelBytes = kPackedChunk / kTileGroup * kTileBytes;

// Two panels of 8 channels as bytes, `bytes` apart.
struct Panels {
  const uint8_t* first;
  size_t bytes;
};

// Those of channels n .. n + 15 and of k .. k + count - 1, `unit` groups at a time: beyond `count`
// they are 0. Where the file has only one of them, the second is the first, or what is in the
// buffer.
template <int kBits>
static PQV_INLINE Panels MakePanels(const PackedMatMul& op, size_t n, size_t k, size_t count,
                                    size_t unit, uint8_t* buffer) {
  const uint8_t* const file = Group(op.weights, kBits, op.k, k, n);
  const size_t file_bytes = n + kTileChannels < op.n ? Groups(op.k) * GroupBytes(kBits) : 0;
  const size_t groups = Groups(count);
  if (kBits == 8 && groups % unit == 0) return {file, file_bytes};
  const size_t beyond = (RoundUp(groups, unit) - groups) * kTileBytes;
  for (size_t half = 0; half < (file_bytes > 0 ? 2 : 1); ++half) {
    uint8_t* const panel = buffer + half * kPanelBytes;
    Expand<kBits, true>(file + half * file_bytes, groups, panel);
    memset(panel + groups * kTileBytes, 0, beyond);
  }
  return {buffer, kPanelBytes};
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

// All of a block. Form::Multiply adds the product of some rows and of kChunk or fewer k to `sums`.
template <int kBits, typename Form, typename Epilogue>
static void RunPrepared(const PackedMatMul& op, const PackedMatMulBlock& block,
                        typename Epilogue::Output* y) {
  alignas(32) uint8_t buffer[2 * kPanelBytes];
  alignas(32) int32_t sums[kMaxRows][kLanes];
  const size_t step = EvenPart(block.row_end - block.row_begin, kMaxRows, kRowUnit);
  for (size_t row = block.row_begin; row < block.row_end; row += step) {
    const size_t rows = Min(block.row_end - row, step);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      const int32_t* const first = Form::OfChannels(op) + n;
      for (size_t k = 0; k < op.k; k += Form::kChunk) {
        const size_t count = Min(op.k - k, Form::kChunk);
        const Panels panels = MakePanels<kBits>(op, n, k, count, Form::kGroups, buffer);
        NextPanels next(op, kBits, n, k, count, CeilDivide(rows, Form::kRowsAtOnce));
        const TileSums tile = k == 0 ? TileSums{sums[0], kLanes, first, 0} : GoOn(sums[0], kLanes);
        for (size_t r = 0; r < rows; r += Form::kRowsAtOnce) {
          next.Fetch();
          Form::Multiply(op, block, row + r, Min(rows - r, Form::kRowsAtOnce), k, count, panels,
                         Move(tile, r, 0));
        }
      }
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

}  // namespace avx2
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_PREPARED_AVX2_H_
