#include "kernels/common/arithmetic_avx2.h"
#include "kernels/rotary/turn_rows.h"

namespace pqv {
namespace avx2 {
namespace {

PQV_INLINE __m256i LoadWide(const int8_t* x, size_t count) {
  return _mm256_cvtepi8_epi16(LoadPartial8(x, count));
}

// Elements d .. d + 15 of y, `count` of which exist.
PQV_INLINE void Store(const Requantizer& requantizer, const RotaryRow& row, size_t d, size_t count,
                      __m256i x, __m256i rotated, int y_bits) {
  const __m256i cos = LoadPartial16(row.cos + d, count);
  const __m256i sin = LoadPartial16(row.sin + d, count);
  const Int32x16 sum = {
      _mm256_madd_epi16(_mm256_unpacklo_epi16(x, rotated), _mm256_unpacklo_epi16(cos, sin)),
      _mm256_madd_epi16(_mm256_unpackhi_epi16(x, rotated), _mm256_unpackhi_epi16(cos, sin))};
  StorePartial8(row.y + d, Narrow16(RequantizeUnpacked16(requantizer, sum), y_bits), count);
}

PQV_INLINE void TurnPairs(const Requantizer& requantizer, const RotaryRow& row, size_t d,
                          size_t count, int y_bits) {
  const __m256i x = LoadWide(row.x + d, count);
  const __m256i swapped = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(x, 0xB1), 0xB1);
  const __m256i signs = _mm256_set1_epi32(0x0001FFFF);  // -1, 1
  Store(requantizer, row, d, count, x, _mm256_sign_epi16(swapped, signs), y_bits);
}

PQV_INLINE void TurnHalves(const Requantizer& requantizer, const RotaryRow& row, size_t half,
                           size_t d, size_t count, int y_bits) {
  const __m256i first = LoadWide(row.x + d, count);
  const __m256i second = LoadWide(row.x + half + d, count);
  const __m256i negative = _mm256_sub_epi16(_mm256_setzero_si256(), second);
  Store(requantizer, row, d, count, first, negative, y_bits);
  Store(requantizer, row, half + d, count, second, first, y_bits);
}

}  // namespace

void RunRotary(const Rotary& op, const RotaryRows& rows) {
  const size_t half = op.depth / 2;
  const int y_bits = op.y_bits;
  const Requantizer requantizer = UniformRequantizer(op.shift, op.multiplier);
  if (op.pairs) {
    return TurnRows<kLanes>(op, rows, [&](const RotaryRow& row, size_t d, size_t count) PQV_LAMBDA {
      TurnPairs(requantizer, row, d, count, y_bits);
    });
  }
  TurnRows<kLanes>(op, rows, [&](const RotaryRow& row, size_t d, size_t count) PQV_LAMBDA {
    TurnHalves(requantizer, row, half, d, count, y_bits);
  });
}

}  // namespace avx2
}  // namespace pqv
