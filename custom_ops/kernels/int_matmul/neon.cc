#include "kernels/int_matmul/neon.h"

#include "kernels/common/tile_armv8.h"

namespace pqv {
namespace neon {

void RunIntMatMul(const IntMatMul& op) {
  arm64::RunIntMatMulWith<arm64::Armv8Tile<arm64::PanelRange::kAnyInt8>>(op);
}

}  // namespace neon
}  // namespace pqv
