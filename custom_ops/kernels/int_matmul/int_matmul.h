// IntMatMul: Y = A * B^T of two int8 activations.

#ifndef PQV_KERNELS_INT_MATMUL_INT_MATMUL_H_
#define PQV_KERNELS_INT_MATMUL_INT_MATMUL_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

// One matrix product. Strides are in elements, from row to row.
struct IntMatMul {
  size_t m, n, k;  // k <= kMaxReduction
  const int8_t* a;
  size_t a_stride;
  const int8_t* b;
  size_t b_stride;
  int32_t* y;
  size_t y_stride;
};

namespace scalar {
void RunIntMatMul(const IntMatMul& op);
}
namespace avx2 {
void RunIntMatMul(const IntMatMul& op);
}
namespace avx512vnni {
void RunIntMatMul(const IntMatMul& op);
}
namespace amx {
void RunIntMatMul(const IntMatMul& op);
}
namespace neon {
void RunIntMatMul(const IntMatMul& op);
}
namespace dotprod {
void RunIntMatMul(const IntMatMul& op);
}
namespace i8mm {
void RunIntMatMul(const IntMatMul& op);
}

}  // namespace pqv

#endif  // PQV_KERNELS_INT_MATMUL_INT_MATMUL_H_
