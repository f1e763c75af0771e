#include "kernels/int_matmul/int_matmul.h"

namespace pqv {
namespace scalar {

void RunIntMatMul(const IntMatMul& op) {
  for (size_t m = 0; m < op.m; ++m) {
    const int8_t* a = op.a + m * op.a_stride;
    for (size_t n = 0; n < op.n; ++n) {
      const int8_t* b = op.b + n * op.b_stride;
      int32_t sum = 0;
      for (size_t k = 0; k < op.k; ++k) sum += a[k] * b[k];
      op.y[m * op.y_stride + n] = sum;
    }
  }
}

}  // namespace scalar
}  // namespace pqv
