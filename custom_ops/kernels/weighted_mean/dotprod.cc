#include "kernels/gemm/tile_dotprod.h"
#include "kernels/weighted_mean/neon.h"

namespace pqv {
namespace dotprod {

void RunWeightedMean(const WeightedMean& op) {
  arm64::RunWeightedMeanWith<arm64::DotprodTile<arm64::Sign::kUnsigned>, 128>(op);
}

}  // namespace dotprod
}  // namespace pqv
