#include "kernels/common/arithmetic_avx512.h"
#include "kernels/rotary/turn_rows.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kStep = 2 * kLanes32;  // elements

struct Scale {
  UniformShifter shifter;
  __m512i multiplier;
  Limits limits;
};

PQV_INLINE __m512i LoadWide(const int8_t* x, __mmask32 lanes) {
  return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(lanes, x));
}

// Elements d .. d + 31 of y. `lanes` are those that exist.
PQV_INLINE void Store(const Scale& scale, const RotaryRow& row, size_t d, __mmask32 lanes,
                      __m512i x, __m512i rotated) {
  const __m512i cos = _mm512_maskz_loadu_epi16(lanes, row.cos + d);
  const __m512i sin = _mm512_maskz_loadu_epi16(lanes, row.sin + d);
  const __m512i rounding = scale.shifter.rounding;
  const __m512i low = _mm512_dpwssd_epi32(rounding, _mm512_unpacklo_epi16(x, rotated),
                                          _mm512_unpacklo_epi16(cos, sin));
  const __m512i high = _mm512_dpwssd_epi32(rounding, _mm512_unpackhi_epi16(x, rotated),
                                           _mm512_unpackhi_epi16(cos, sin));
  // What lanes of 128 bits have been unpacked to, they are packed from in natural order.
  const __m512i u = _mm512_mulhrs_epi16(Shift16(scale.shifter, low, high), scale.multiplier);
  const __m512i y = Narrow16<2>(&u, scale.limits);
  _mm256_mask_storeu_epi8(row.y + d, lanes, _mm512_castsi512_si256(y));
}

PQV_INLINE void TurnPairs(const Scale& scale, const RotaryRow& row, size_t d, __mmask32 lanes) {
  const __m512i x = LoadWide(row.x + d, lanes);
  const __m512i swapped = _mm512_or_si512(_mm512_slli_epi32(x, 16), _mm512_srli_epi32(x, 16));
  const __m512i even = _mm512_set1_epi32(0xFFFF);  // are negated: ~x + 1
  const __m512i rotated = _mm512_sub_epi16(_mm512_xor_si512(swapped, even), even);
  Store(scale, row, d, lanes, x, rotated);
}

PQV_INLINE void TurnHalves(const Scale& scale, const RotaryRow& row, size_t half, size_t d,
                           __mmask32 lanes) {
  const __m512i first = LoadWide(row.x + d, lanes);
  const __m512i second = LoadWide(row.x + half + d, lanes);
  Store(scale, row, d, lanes, first, _mm512_sub_epi16(_mm512_setzero_si512(), second));
  Store(scale, row, half + d, lanes, second, first);
}

}  // namespace

void RunRotary(const Rotary& op, const RotaryRows& rows) {
  const size_t half = op.depth / 2;
  const Scale scale = {MakeUniformShifter(op.shift),
                       _mm512_set1_epi16(static_cast<int16_t>(op.multiplier)),
                       MakeLimits(op.y_bits)};
  const auto lanes = [](size_t count)
                         PQV_LAMBDA { return static_cast<__mmask32>(FirstLanes(count)); };
  if (op.pairs) {
    return TurnRows<kStep>(op, rows, [&](const RotaryRow& row, size_t d, size_t count) PQV_LAMBDA {
      TurnPairs(scale, row, d, lanes(count));
    });
  }
  TurnRows<kStep>(op, rows, [&](const RotaryRow& row, size_t d, size_t count) PQV_LAMBDA {
    TurnHalves(scale, row, half, d, lanes(count));
  });
}

}  // namespace avx512vnni
}  // namespace pqv
