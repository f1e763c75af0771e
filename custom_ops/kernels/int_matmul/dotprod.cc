#include "kernels/gemm/tile_dotprod.h"
#include "kernels/int_matmul/neon.h"

namespace pqv {
namespace dotprod {

void RunIntMatMul(const IntMatMul& op) {
  arm64::RunIntMatMulWith<arm64::DotprodTile<arm64::Sign::kSigned>>(op);
}

bool RunNarrowIntMatMul(const IntMatMul& op, int16_t* y) {
  return arm64::RunNarrowIntMatMulWith<arm64::DotprodTile<arm64::Sign::kSigned>>(op, y);
}

}  // namespace dotprod
}  // namespace pqv
