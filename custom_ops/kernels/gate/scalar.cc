#include "kernels/common/arithmetic.h"
#include "kernels/gate/gate.h"

namespace pqv {
namespace scalar {

void RunGate(const Gate& op, const int8_t* a, const int8_t* b, size_t count, int8_t* y) {
  for (size_t i = 0; i < count; ++i) {
    const int32_t product = (a[i] - op.a_zero_point) * (b[i] - op.b_zero_point);
    y[i] = Narrow(Requantize(product, op.shift, op.multiplier), op.y_bits);
  }
}

}  // namespace scalar
}  // namespace pqv
