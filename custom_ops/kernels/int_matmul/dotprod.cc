#include "kernels/common/tile_dotprod.h"
#include "kernels/int_matmul/neon.h"

namespace pqv {
namespace dotprod {

void RunIntMatMul(const IntMatMul& op) {
  arm64::RunIntMatMulWith<arm64::DotprodTile<arm64::Sign::kSigned>>(op);
}

}  // namespace dotprod
}  // namespace pqv
