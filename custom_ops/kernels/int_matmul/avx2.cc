#include "kernels/int_matmul/avx2.h"

namespace pqv {
namespace avx2 {

void RunIntMatMul(const IntMatMul& op) { RunIntMatMulWith<Maddubs>(op); }

}  // namespace avx2
}  // namespace pqv
