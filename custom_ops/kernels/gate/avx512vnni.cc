#include "kernels/common/arithmetic_avx512.h"
#include "kernels/gate/gate.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kStep = 2 * kLanes32;  // elements

// Codes less their zero point, in [-255, 255].
PQV_INLINE __m512i LoadCentred(const int8_t* x, __mmask32 lanes, __m512i zero_point) {
  return _mm512_sub_epi16(_mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(lanes, x)), zero_point);
}

}  // namespace

void RunGate(const Gate& op, const int8_t* a, const int8_t* b, size_t count, int8_t* y) {
  const __m512i a_zero = _mm512_set1_epi16(static_cast<int16_t>(op.a_zero_point));
  const __m512i b_zero = _mm512_set1_epi16(static_cast<int16_t>(op.b_zero_point));
  const UniformShifter shifter = MakeUniformShifter(op.shift);
  const __m512i multiplier = _mm512_set1_epi16(static_cast<int16_t>(op.multiplier));
  const Limits limits = MakeLimits(op.y_bits);
  for (size_t i = 0; i < count; i += kStep) {
    const __mmask32 lanes = static_cast<__mmask32>(FirstLanes(Min(count - i, kStep)));
    const __m512i x = LoadCentred(a + i, lanes, a_zero);
    const __m512i z = LoadCentred(b + i, lanes, b_zero);
    const __m512i low = _mm512_mullo_epi16(x, z);
    const __m512i high = _mm512_mulhi_epi16(x, z);
    // What lanes of 128 bits are unpacked to, they are packed from in natural order.
    const __m512i t =
        RoundShift16(shifter, _mm512_unpacklo_epi16(low, high), _mm512_unpackhi_epi16(low, high));
    const __m512i u = _mm512_mulhrs_epi16(t, multiplier);
    _mm256_mask_storeu_epi8(y + i, lanes, _mm512_castsi512_si256(Narrow16<2>(&u, limits)));
  }
}

}  // namespace avx512vnni
}  // namespace pqv
