#include "kernels/common/arithmetic_neon.h"
#include "kernels/gate/gate.h"

namespace pqv {
namespace neon {
namespace {

using namespace arm64;

struct Gates {
  int8x16_t a_zero;
  int8x16_t b_zero;
  Requantizer requantizer;
  Limits limits;
};

PQV_INLINE int16x8_t Multiply(const Requantizer& requantizer, int16x8_t a, int16x8_t b) {
  return Requantize16(requantizer, vmull_s16(vget_low_s16(a), vget_low_s16(b)),
                      vmull_high_s16(a, b));
}

PQV_INLINE int8x16_t Multiply(const Gates& gates, int8x16_t a, int8x16_t b) {
  const int16x8_t a_low = vsubl_s8(vget_low_s8(a), vget_low_s8(gates.a_zero));
  const int16x8_t b_low = vsubl_s8(vget_low_s8(b), vget_low_s8(gates.b_zero));
  const int16x8_t a_high = vsubl_high_s8(a, gates.a_zero);
  const int16x8_t b_high = vsubl_high_s8(b, gates.b_zero);
  return Narrow16(Multiply(gates.requantizer, a_low, b_low),
                  Multiply(gates.requantizer, a_high, b_high), gates.limits);
}

}  // namespace

void RunGate(const Gate& op, const int8_t* a, const int8_t* b, size_t count, int8_t* y) {
  const Gates gates = {vdupq_n_s8(static_cast<int8_t>(op.a_zero_point)),
                       vdupq_n_s8(static_cast<int8_t>(op.b_zero_point)),
                       UniformRequantizer(op.shift, op.multiplier), MakeLimits(op.y_bits)};
  const auto multiply = [&](size_t i, size_t lanes) {
    StoreCodes(y + i, Multiply(gates, LoadCodes(a + i, lanes), LoadCodes(b + i, lanes)), lanes);
  };
  size_t i = 0;
  for (; i + kLanes8 <= count; i += kLanes8) multiply(i, kLanes8);
  if (i < count) multiply(i, count - i);
}

}  // namespace neon
}  // namespace pqv
