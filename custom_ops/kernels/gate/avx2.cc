#include "kernels/common/arithmetic_avx2.h"
#include "kernels/gate/gate.h"

namespace pqv {
namespace avx2 {
namespace {

// Codes less their zero point, in [-255, 255].
PQV_INLINE __m256i LoadCentred(const int8_t* x, size_t count, __m256i zero_point) {
  return _mm256_sub_epi16(_mm256_cvtepi8_epi16(LoadPartial8(x, count)), zero_point);
}

}  // namespace

void RunGate(const Gate& op, const int8_t* a, const int8_t* b, size_t count, int8_t* y) {
  const __m256i a_zero = _mm256_set1_epi16(static_cast<int16_t>(op.a_zero_point));
  const __m256i b_zero = _mm256_set1_epi16(static_cast<int16_t>(op.b_zero_point));
  const Requantizer requantizer = UniformRequantizer(op.shift, op.multiplier);
  const int y_bits = op.y_bits;
  const auto multiply = [&](size_t i, size_t lanes) PQV_LAMBDA {
    const Int32x16 product =
        Multiply16(LoadCentred(a + i, lanes, a_zero), LoadCentred(b + i, lanes, b_zero));
    StorePartial8(y + i, Narrow16(RequantizeUnpacked16(requantizer, product), y_bits), lanes);
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) multiply(i, kLanes);
  if (i < count) multiply(i, count - i);
}

}  // namespace avx2
}  // namespace pqv
