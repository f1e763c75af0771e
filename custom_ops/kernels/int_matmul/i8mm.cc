#include "kernels/gemm/tile_i8mm.h"
#include "kernels/int_matmul/neon.h"

namespace pqv {
namespace i8mm {

void RunIntMatMul(const IntMatMul& op) {
  arm64::RunIntMatMulWith<arm64::I8mmTile<arm64::Sign::kSigned>>(op);
}

bool RunNarrowIntMatMul(const IntMatMul& op, int16_t* y) {
  return arm64::RunNarrowIntMatMulWith<arm64::I8mmTile<arm64::Sign::kSigned>>(op, y);
}

}  // namespace i8mm
}  // namespace pqv
