#include "kernels/weighted_mean/neon.h"

#include "kernels/common/tile_armv8.h"

namespace pqv {
namespace neon {

void RunWeightedMean(const WeightedMean& op) {
  arm64::RunWeightedMeanWith<arm64::Armv8Tile<arm64::PanelRange::kUint8>, 128>(op);
}

}  // namespace neon
}  // namespace pqv
