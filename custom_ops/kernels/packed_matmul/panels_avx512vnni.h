// Both factors of a packed matmul as tiles of VPDPBUSD read them: rows as unsigned bytes, weights
// as signed ones with channels in natural order.

#ifndef PQV_KERNELS_PACKED_MATMUL_PANELS_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_PANELS_AVX512VNNI_H_

#include "kernels/gemm/driver_avx512vnni.h"
#include "kernels/packed_matmul/avx512.h"

namespace pqv {
namespace avx512 {

constexpr int kRowOffset = 128;  // of rows as unsigned bytes

// Bytes of an unsigned row: whole groups of k, so that no tile has to copy it.
static inline size_t UnsignedStride(size_t k) { return RoundUp(k, kGroup); }

static inline void MakeUnsigned(const int8_t* a, size_t stride, size_t rows, size_t k,
                                uint8_t* unsigned_rows) {
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(kRowOffset));
  const size_t unsigned_stride = UnsignedStride(k);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < k; i += 64) {
      const __mmask64 lanes = FirstLanes(k - i);
      const __m512i x = _mm512_maskz_loadu_epi8(lanes, a + r * stride + i);
      _mm512_mask_storeu_epi8(unsigned_rows + r * unsigned_stride + i,
                              FirstLanes(unsigned_stride - i),
                              _mm512_maskz_mov_epi8(lanes, _mm512_xor_si512(x, offset)));
    }
  }
}

// The rows of a block from `first` on, unsigned: those that were prepared, or copies of a tile at a
// time in its scratch memory.
class UnsignedRows {
 public:
  PQV_INLINE UnsignedRows(const PackedMatMul& op, const PackedMatMulBlock& block, size_t stride,
                          size_t first)
      : block_(block), k_(op.k), stride_(stride), first_(first) {}

  static size_t CopyBytes(size_t k) { return RoundUp(kTileRows * UnsignedStride(k), 64); }

  // `row` counts from the first one.
  PQV_INLINE TileRows Tile(size_t row, size_t count) {
    row += first_;
    if (block_.prepared != nullptr) return {block_.prepared + row * stride_, stride_};
    MakeUnsigned(block_.a + row * block_.a_stride, block_.a_stride, count, k_, block_.scratch);
    return {block_.scratch, UnsignedStride(k_)};
  }

 private:
  const PackedMatMulBlock& block_;
  const size_t k_;
  const size_t stride_;
  const size_t first_;
};

// int8 weights where they are: two panels of the file side by side are a vector. Only on CPUs that
// have ports for it, and of channels that are whole panels.
struct FilePanel {
  const uint8_t* first;
  size_t stride;  // bytes from one panel of the file to the next

  PQV_INLINE __m512i At(size_t step, size_t v) const {
    const uint8_t* const low = first + 2 * v * stride + step * GroupBytes(8);
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low + stride));
    return _mm512_inserti64x4(_mm512_castsi256_si512(x), y, 1);
  }
};

// Signed weights of 4 bits.
struct SignedInt4 {
  static PQV_INLINE __m512i LowInt4(__m512i x) {
    constexpr int kAndThenXor = 0x6C;
    const __m512i eight = _mm512_set1_epi8(0x08);
    return _mm512_sub_epi8(_mm512_ternarylogic_epi32(x, eight, _mm512_set1_epi8(0x0F), kAndThenXor),
                           eight);
  }
  static PQV_INLINE __m512i HighInt4(__m512i x) { return LowInt4(_mm512_srli_epi16(x, 4)); }
};

// Vectors of as many steps as 64 bytes of two panels of the file have, `step` bytes apart.
template <int kBits>
static PQV_INLINE void WriteSteps(__m512i x, __m512i y, size_t step, uint8_t* target) {
  if constexpr (kBits == 8) {
    _mm512_store_si512(target, _mm512_shuffle_i64x2(x, y, 0x44));
    _mm512_store_si512(target + step, _mm512_shuffle_i64x2(x, y, 0xEE));
  } else {
    __m512i lanes[4] = {SignedInt4::LowInt4(x), SignedInt4::HighInt4(x), SignedInt4::LowInt4(y),
                        SignedInt4::HighInt4(y)};
    ToTileOrder<4>(lanes);
    for (size_t i = 0; i < 4; ++i) _mm512_store_si512(target + i * step, lanes[i]);
  }
}

// Bytes of the steps of 64 channels, of which four, or three, are made at once.
static inline size_t StepBytes(size_t k) { return RoundUp(k, 3 * 16) * 64; }

// Writes the weights of channels n .. n + 16 * kVectors - 1 as steps. Channels beyond the last
// panel of the file are copies of others.
template <int kBits, size_t kVectors>
static inline void MakeSteps(const PackedMatMul& op, size_t n, uint8_t* steps) {
  constexpr size_t kStep = kVectors * kVectorBytes;
  const size_t last = CeilDivide(op.n, kPanelChannels) - 1;
  const size_t bytes = CeilDivide(op.k, kGroupSize) * GroupBytes(kBits);
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t panel = n / kPanelChannels + 2 * v;
    const uint8_t* const x = Group(op.weights, kBits, op.k, 0, Min(panel, last) * kPanelChannels);
    const uint8_t* const y =
        Group(op.weights, kBits, op.k, 0, Min(panel + 1, last) * kPanelChannels);
    uint8_t* target = steps + v * kVectorBytes;
    for (size_t i = 0; i < bytes; i += 64) {
      const __mmask64 lanes = FirstLanes(bytes - i);
      WriteSteps<kBits>(_mm512_maskz_loadu_epi8(lanes, x + i),
                        _mm512_maskz_loadu_epi8(lanes, y + i), kStep, target);
      target += 64 / GroupBytes(kBits) * kStep;
    }
  }
}

// Brings the weights of the next channels near, some bytes with every step of these: they are one
// stream, whose panels end too soon for hardware to find it. They may be another task's, which
// then most likely comes next.
struct NextWeights {
  NextWeights() = default;

  // Of `channels` from n on, in `steps` steps, one or more.
  PQV_INLINE NextWeights(const PackedMatMul& op, int bits, size_t n, size_t channels,
                         size_t steps) {
    const bool has_next = n < op.n;
    const size_t bytes =
        channels / kPanelChannels * CeilDivide(op.k, kGroupSize) * GroupBytes(bits);
    line = Group(op.weights, bits, op.k, 0, has_next ? n : n - channels);
    step = has_next ? Min(CeilDivide(bytes, steps), size_t{64}) : 0;
  }

  PQV_INLINE void Fetch() {
    _mm_prefetch(line, _MM_HINT_T0);
    line += step;
  }

  const uint8_t* line = nullptr;
  size_t step = 0;  // bytes
};

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_PANELS_AVX512VNNI_H_
