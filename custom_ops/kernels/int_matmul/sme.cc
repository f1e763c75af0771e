#include "kernels/gemm/tile_sme.h"
#include "kernels/int_matmul/neon.h"

namespace pqv {
namespace sme {

void RunIntMatMul(const IntMatMul& op) {
  arm64::RunIntMatMulWith<arm64::SmeTile<arm64::Sign::kSigned>>(op);
}

bool RunNarrowIntMatMul(const IntMatMul& op, int16_t* y) {
  return arm64::RunNarrowIntMatMulWith<arm64::SmeTile<arm64::Sign::kSigned>>(op, y);
}

}  // namespace sme
}  // namespace pqv
