// Products of a few rows with VPDPBUSD, which do not pay for a panel: they read the weights where
// they are, as unsigned bytes by an offset.

#ifndef PQV_KERNELS_PACKED_MATMUL_FEW_ROWS_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_FEW_ROWS_AVX512VNNI_H_

#include "kernels/gemm/tile_avx512vnni.h"
#include "kernels/packed_matmul/avx512.h"

namespace pqv {
namespace avx512 {

constexpr size_t kMaxFewRows = 3;
constexpr size_t kMaxFewRowsK = 4096;  // 32 KiB of spread activations of a row

static inline bool AreFewRows(size_t rows, size_t k) {
  return rows <= kMaxFewRows && k <= kMaxFewRowsK;
}

// Weights plus an offset, as unsigned bytes.
template <int kBits>
constexpr int kOffset = kBits == 8 ? 128 : 8;

struct OffsetForm {
  static PQV_INLINE __m512i Int8(__m512i x) {
    return _mm512_xor_si512(x, _mm512_set1_epi8(static_cast<char>(0x80)));
  }
  static PQV_INLINE __m512i LowInt4(__m512i x) {
    constexpr int kXorThenAnd = 0x28;
    return _mm512_ternarylogic_epi32(x, _mm512_set1_epi8(0x08), _mm512_set1_epi8(0x0F),
                                     kXorThenAnd);
  }
  static PQV_INLINE __m512i HighInt4(__m512i x) { return LowInt4(_mm512_srli_epi16(x, 4)); }
};

// K in a vector of the file, which holds 8 channels.
template <int kBits>
constexpr size_t kStepK = kBits == 8 ? 8 : 16;

// Step s of the activations: each group of 4 k as often as its panel has channels in a vector.
template <int kBits>
static inline void Spread(const int8_t* a, size_t k, int8_t* spread) {
  const __m512i index = kBits == 8
                            ? _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)
                            : _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  for (size_t i = 0; i < k; i += kStepK<kBits>) {
    const size_t count = Min(k - i, kStepK<kBits>);
    const __m128i x = _mm_maskz_loadu_epi8(static_cast<__mmask16>(FirstLanes(count)), a + i);
    const __m512i y = _mm512_permutexvar_epi32(index, _mm512_castsi128_si512(x));
    _mm512_store_si512(spread, y);
    spread += 64;
  }
}

// Sums of one row and the 8 channels of a panel, the offset still in.
template <int kBits>
class DirectSums {
 public:
  PQV_INLINE void Add(__m512i weights, __m512i spread) {
    if constexpr (kBits == 8) {
      low_ = _mm512_dpbusd_epi32(low_, OffsetForm::Int8(weights), spread);
    } else {
      low_ = _mm512_dpbusd_epi32(low_, OffsetForm::LowInt4(weights), spread);
      high_ = _mm512_dpbusd_epi32(high_, OffsetForm::HighInt4(weights), spread);
    }
  }

  PQV_INLINE void Add(const DirectSums& other) {
    low_ = _mm512_add_epi32(low_, other.low_);
    high_ = _mm512_add_epi32(high_, other.high_);
  }

  PQV_INLINE __m256i Channels() const {
    const __m256i low = AddHalves(low_);
    if constexpr (kBits == 8) return low;
    const __m256i high = AddHalves(high_);
    return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                            _mm256_permute2x128_si256(low, high, 0x31));
  }

 private:
  static PQV_INLINE __m256i AddHalves(__m512i x) {
    return _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  }

  __m512i low_ = _mm512_setzero_si512();   // int8: all channels, int4: channels 0 .. 3
  __m512i high_ = _mm512_setzero_si512();  // int4: channels 4 .. 7
};

template <int kBits>
static inline __m256i DirectPanel(const uint8_t* panel, size_t k, const int8_t* spread) {
  constexpr size_t kChains = 4;  // hide the latency of VPDPBUSD
  const size_t bytes = CeilDivide(k, kGroupSize) * GroupBytes(kBits);
  DirectSums<kBits> sums[kChains];
  size_t i = 0;
  for (; i + kChains * 64 <= bytes; i += kChains * 64) {
#pragma GCC unroll 4
    for (size_t c = 0; c < kChains; ++c) {
      const size_t at = i + c * 64;
      sums[c].Add(_mm512_loadu_si512(panel + at), _mm512_load_si512(spread + at));
    }
  }
  for (; i < bytes; i += 64) {
    const __m512i weights = _mm512_maskz_loadu_epi8(FirstLanes(bytes - i), panel + i);
    sums[0].Add(weights, _mm512_load_si512(spread + i));
  }
  for (size_t c = 1; c < kChains; ++c) sums[0].Add(sums[c]);
  return sums[0].Channels();
}

template <int kBits, template <size_t> class Epilogue, typename Output>
static inline void RunFewRows(const PackedMatMul& op, const PackedMatMulBlock& block, Output* y) {
  alignas(64) int8_t spread[kMaxFewRows][kMaxFewRowsK / kStepK<kBits> * 64];
  constexpr size_t kChannels = 64;
  int32_t correction[kMaxFewRows];
  const size_t rows = block.row_end - block.row_begin;
  const int8_t* const a = block.a + block.row_begin * block.a_stride;
  SumsOfRows(a, block.a_stride, rows, op.k, -kOffset<kBits>, correction);
  for (size_t r = 0; r < rows; ++r) Spread<kBits>(a + r * block.a_stride, op.k, spread[r]);
  for (size_t n = block.channel_begin; n < block.channel_end; n += kChannels) {
    const Epilogue<4> epilogue(op, block, n, y);
    const size_t channels = Min(block.channel_end - n, kChannels);
    for (size_t r = 0; r < rows; ++r) {
      const __m256i offset = _mm256_set1_epi32(correction[r]);
      alignas(64) int32_t sums[kChannels] = {};
      for (size_t c = 0; c < channels; c += kPanelChannels) {
        const uint8_t* panel = Group(op.weights, kBits, op.k, 0, n + c);
        _mm256_store_si256(reinterpret_cast<__m256i*>(sums + c),
                           _mm256_add_epi32(DirectPanel<kBits>(panel, op.k, spread[r]), offset));
      }
      __m512i products[4];
      NaturalOrder<4>::Load32(sums, products);
      epilogue.Store(block.row_begin + r, products);
    }
  }
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_FEW_ROWS_AVX512VNNI_H_
