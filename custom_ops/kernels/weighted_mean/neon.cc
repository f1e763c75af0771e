#include "kernels/weighted_mean/neon.h"

#include "kernels/gemm/tile_armv8.h"

namespace pqv {

void arm64::SetMeanRows(const WeightedMean& op, const uint32_t* sums, size_t count, uint32_t offset,
                        MeanRows* rows) {
  for (size_t r = 0; r < count; ++r) {
    const RowScale scale = WeightedMeanScale(op.shift, op.multiplier, sums[r]);
    const int32_t rounding = scale.shift > 0 ? 1 << (scale.shift - 1) : 0;
    rows->first[r] = rounding - static_cast<int32_t>(offset * sums[r]);
    rows->upper_shift[r] = 16 - scale.shift;
    rows->multiplier[r] = static_cast<int16_t>(scale.multiplier);
  }
}

namespace neon {
namespace {

using arm64::Armv8Tile;
using arm64::PanelRange;

bool IsInt4(const WeightedMean& op) {
  uint8x16_t seen = vdupq_n_u8(0);
  for (size_t j = 0; j < op.n; ++j) {
    const int8_t* row = op.v + j * op.v_stride;
    for (size_t d = 0; d < op.d; d += arm64::kBlockK) {
      const uint8x16_t x = vreinterpretq_u8_s8(arm64::LoadBlock(row, d, op.d));
      seen = vorrq_u8(seen, vaddq_u8(x, vdupq_n_u8(8)));
    }
  }
  return vmaxvq_u8(seen) < 16;
}

}  // namespace

// The smaller the values, the more products fit in 16 bits.
void RunWeightedMean(const WeightedMean& op) {
  if (IsInt4(op)) return arm64::RunWeightedMeanWith<Armv8Tile<PanelRange::kUint4>, 8>(op);
  arm64::RunWeightedMeanWith<Armv8Tile<PanelRange::kUint8>, 128>(op);
}

}  // namespace neon
}  // namespace pqv
