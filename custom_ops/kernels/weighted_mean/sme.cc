#include "kernels/gemm/tile_sme.h"
#include "kernels/weighted_mean/neon.h"

namespace pqv {
namespace sme {

void RunWeightedMean(const WeightedMean& op) {
  arm64::RunWeightedMeanWith<arm64::SmeTile<arm64::Sign::kUnsigned>, 0>(op);
}

}  // namespace sme
}  // namespace pqv
