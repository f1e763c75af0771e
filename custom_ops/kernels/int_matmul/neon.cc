#include "kernels/int_matmul/neon.h"

#include "kernels/common/tile_armv8.h"

namespace pqv {
namespace neon {

namespace {

using arm64::Armv8Tile;
using arm64::PanelRange;

// The least and the greatest value of B.
struct Range {
  int low;
  int high;
};

Range RangeOf(const IntMatMul& op) {
  int8x16_t low = vdupq_n_s8(0);
  int8x16_t high = vdupq_n_s8(0);
  for (size_t n = 0; n < op.n; ++n) {
    const int8_t* row = op.b + n * op.b_stride;
    for (size_t k = 0; k < op.k; k += arm64::kBlockK) {
      const int8x16_t x = arm64::LoadBlock(row, k, op.k);
      low = vminq_s8(low, x);
      high = vmaxq_s8(high, x);
    }
  }
  return {vminvq_s8(low), vmaxvq_s8(high)};
}

}  // namespace

// The smaller the values, the more products fit in 16 bits.
void RunIntMatMul(const IntMatMul& op) {
  const Range range = RangeOf(op);
  if (range.low >= -8 && range.high <= 7) {
    return arm64::RunIntMatMulWith<Armv8Tile<PanelRange::kAnyInt4>>(op);
  }
  if (range.low > INT8_MIN) return arm64::RunIntMatMulWith<Armv8Tile<PanelRange::kInt8>>(op);
  arm64::RunIntMatMulWith<Armv8Tile<PanelRange::kAnyInt8>>(op);
}

}  // namespace neon
}  // namespace pqv
