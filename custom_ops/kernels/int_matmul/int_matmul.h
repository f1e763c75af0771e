// IntMatMul: Y = A * B^T of two int8 activations.

#ifndef PQV_KERNELS_INT_MATMUL_INT_MATMUL_H_
#define PQV_KERNELS_INT_MATMUL_INT_MATMUL_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"

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

PQV_IN_EACH_ISA(void RunIntMatMul(const IntMatMul& op);)

// RunNarrowIntMatMul: Y in int16, where all values of A and B are in [-8, 7] and k is 511 or less;
// else it returns false. It writes whole steps of 8 columns: y_stride is n rounded up, or more.
// op.y is not read. Only arm64 has it.
PQV_IN_EACH_ISA(bool RunNarrowIntMatMul(const IntMatMul& op, int16_t* y);)

}  // namespace pqv

#endif  // PQV_KERNELS_INT_MATMUL_INT_MATMUL_H_
