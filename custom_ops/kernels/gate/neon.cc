#include "kernels/common/arithmetic_neon.h"
#include "kernels/gate/gate.h"

namespace pqv {
namespace neon {
namespace {

using namespace arm64;

constexpr size_t kStep = 16;  // elements

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

PQV_INLINE int8x16_t LoadPartial(const int8_t* x, size_t count) {
  return vreinterpretq_s8_u8(LoadPartial8(x, count));
}

}  // namespace

void RunGate(const Gate& op, const int8_t* a, const int8_t* b, size_t count, int8_t* y) {
  const Gates gates = {vdupq_n_s8(static_cast<int8_t>(op.a_zero_point)),
                       vdupq_n_s8(static_cast<int8_t>(op.b_zero_point)),
                       UniformRequantizer(op.shift, op.multiplier), MakeLimits(op.y_bits)};
  size_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    vst1q_s8(y + i, Multiply(gates, vld1q_s8(a + i), vld1q_s8(b + i)));
  }
  if (i < count) {
    const size_t rest = count - i;
    const int8x16_t product = Multiply(gates, LoadPartial(a + i, rest), LoadPartial(b + i, rest));
    StorePartial8(y + i, vreinterpretq_u8_s8(product), rest);
  }
}

}  // namespace neon
}  // namespace pqv
