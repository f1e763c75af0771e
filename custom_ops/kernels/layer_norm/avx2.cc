#include "kernels/common/fixed_point_avx2.h"
#include "kernels/layer_norm/layer_norm.h"

namespace pqv {
namespace avx2 {
namespace {

__m256i Load16(const int16_t* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }

// X * 2^exponent of 16 channels from c on; channels beyond the row are zero.
__m256i LoadScaled(const LayerNorm& op, const int8_t* row, size_t c, size_t count) {
  const __m256i x = _mm256_cvtepi8_epi16(LoadPartial8(row + c, count));
  return _mm256_mullo_epi16(x, Load16(op.step + c));
}

size_t Count(const LayerNorm& op, size_t c) {
  return op.channels - c < kLanes ? op.channels - c : kLanes;
}

RowStatistics Statistics(const LayerNorm& op, const int8_t* row) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums = _mm256_setzero_si256();
  // A lane adds at most 512 times two squares of 2^20, 2^30 in all.
  static_assert(kMaxLayerNormChannels / kLanes * 2 <= 1 << 10, "int32 sums of squares");
  __m256i squares = _mm256_setzero_si256();
  for (size_t c = 0; c < op.channels; c += kLanes) {
    const __m256i x = LoadScaled(op, row, c, Count(op, c));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(x, ones));
    squares = _mm256_add_epi32(squares, _mm256_madd_epi16(x, x));
  }
  int32_t lanes[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), squares);
  int64_t square_sum = 0;
  for (const int32_t lane : lanes) square_sum += lane;
  return FinishStatistics(op, Sum32(sums), square_sum);
}

// x * factor of 16 int16 as int32; factor is in the int16 range.
Int32x16 Multiply(__m256i x, int32_t factor) {
  // The upper int16 of a sign-extended x meets the zero upper half of the factor.
  const __m256i factors = _mm256_set1_epi32(factor & 0xFFFF);
  const Int32x16 wide = Widen16(x);
  return {_mm256_madd_epi16(wide.low, factors), _mm256_madd_epi16(wide.high, factors)};
}

void RunRow(const LayerNorm& op, const int8_t* row, int8_t* y) {
  const RowStatistics s = Statistics(op, row);
  const RoundShifter normal_shifter = UniformShifter(s.normal_shift);
  const __m256i negative_sum = _mm256_set1_epi32(-s.sum);
  for (size_t c = 0; c < op.channels; c += kLanes) {
    const size_t count = Count(op, c);
    const __m256i x = LoadScaled(op, row, c, count);
    const Int32x16 centred =
        Add32(Multiply(x, static_cast<int32_t>(op.channels)), {negative_sum, negative_sum});
    const Int32x16 normal = Multiply(RoundShift16(normal_shifter, centred), s.reciprocal);
    const __m256i u = Requantize16(LoadRequantizer(op.requantizer, c), normal);
    StorePartial8(y + c, Narrow16(_mm256_adds_epi16(u, Load16(op.bias + c)), op.y_bits), count);
  }
}

}  // namespace

void RunLayerNorm(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  for (size_t r = 0; r < rows; ++r) RunRow(op, x + r * op.channels, y + r * op.channels);
}

}  // namespace avx2
}  // namespace pqv
