#include "kernels/common/fixed_point_avx512.h"
#include "kernels/layer_norm/layer_norm.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kLanes = 32;     // channels per step
constexpr size_t kBlockRows = 8;  // rows that share the constants of a step, and whose divisions
                                  // run side by side

// X * 2^exponent of 32 channels from c on; channels beyond the row are zero.
__m512i LoadScaled(const LayerNorm& op, const int8_t* row, size_t c, __mmask32 lanes) {
  const __m512i x = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(lanes, row + c));
  return _mm512_mullo_epi16(x, _mm512_loadu_si512(op.step + c));
}

__mmask32 Lanes(const LayerNorm& op, size_t c) {
  return static_cast<__mmask32>(FirstLanes(Min(op.channels - c, kLanes)));
}

int64_t Sum64(__m512i x) {
  return _mm512_reduce_add_epi64(
      _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(x)),
                       _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(x, 1))));
}

RowStatistics Statistics(const LayerNorm& op, const int8_t* row) {
  const __m512i ones = _mm512_set1_epi16(1);
  __m512i sums = _mm512_setzero_si512();
  // A lane adds at most 256 times two squares of 2^20, 2^29 in all.
  static_assert(kMaxLayerNormChannels / kLanes * 2 <= 1 << 10, "int32 sums of squares");
  __m512i squares = _mm512_setzero_si512();
  for (size_t c = 0; c < op.channels; c += kLanes) {
    const __m512i x = LoadScaled(op, row, c, Lanes(op, c));
    sums = _mm512_dpwssd_epi32(sums, x, ones);
    squares = _mm512_dpwssd_epi32(squares, x, x);
  }
  return FinishStatistics(op, _mm512_reduce_add_epi32(sums), Sum64(squares));
}

// x * factor of 32 int16 as int32 in tile order.
void Multiply(__m512i x, __m512i factor, __m512i* products) {
  const __m512i low = _mm512_mullo_epi16(x, factor);
  const __m512i high = _mm512_mulhi_epi16(x, factor);
  products[0] = _mm512_unpacklo_epi16(low, high);
  products[1] = _mm512_unpackhi_epi16(low, high);
}

// What normalises a row: C * x - S with its shift, then the reciprocal of sigma.
struct RowNormalizer {
  UniformShifter shifter;  // -S is part of the rounding
  __m512i reciprocal;
};

RowNormalizer MakeNormalizer(const RowStatistics& s) {
  RowNormalizer normalizer = {MakeUniformShifter(s.normal_shift),
                              _mm512_set1_epi16(static_cast<int16_t>(s.reciprocal))};
  normalizer.shifter.rounding =
      _mm512_sub_epi32(normalizer.shifter.rounding, _mm512_set1_epi32(s.sum));
  return normalizer;
}

void RunRows(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  RowNormalizer normalizers[kBlockRows];
  for (size_t r = 0; r < rows; ++r) {
    normalizers[r] = MakeNormalizer(Statistics(op, x + r * op.channels));
  }
  const __m512i channels = _mm512_set1_epi16(static_cast<int16_t>(op.channels));
  const Limits limits = MakeLimits(op.y_bits);
  for (size_t c = 0; c < op.channels; c += kLanes) {
    const __mmask32 lanes = Lanes(op, c);
    const __m512i bias = _mm512_loadu_si512(op.bias + c);
    Requantizer<2> requantizer;
    LoadRequantizer<2>(op.requantizer, c, &requantizer);
    for (size_t r = 0; r < rows; ++r) {
      const RowNormalizer& normalizer = normalizers[r];
      __m512i wide[2];
      Multiply(LoadScaled(op, x + r * op.channels, c, lanes), channels, wide);
      Multiply(RoundShift16(normalizer.shifter, wide[0], wide[1]), normalizer.reciprocal, wide);
      __m512i u;
      Requantize16<2>(requantizer, wide, &u);
      u = _mm512_adds_epi16(u, bias);
      _mm512_mask_storeu_epi8(y + r * op.channels + c, lanes, Narrow16<2>(&u, limits));
    }
  }
}

}  // namespace

void RunLayerNorm(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  for (size_t row = 0; row < rows; row += kBlockRows) {
    const size_t offset = row * op.channels;
    RunRows(op, x + offset, Min(rows - row, kBlockRows), y + offset);
  }
}

}  // namespace avx512vnni
}  // namespace pqv
