#include "kernels/gemm/tile_i8mm.h"
#include "kernels/weighted_mean/neon.h"

namespace pqv {
namespace i8mm {

void RunWeightedMean(const WeightedMean& op) {
  arm64::RunWeightedMeanWith<arm64::I8mmTile<arm64::Sign::kUnsigned>, 0>(op);
}

}  // namespace i8mm
}  // namespace pqv
