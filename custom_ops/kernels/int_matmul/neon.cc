#include "kernels/int_matmul/neon.h"

#include "kernels/gemm/tile_armv8.h"

namespace pqv {
namespace neon {

namespace {

using arm64::Armv8Tile;
using arm64::PanelRange;

// The least and the greatest of some values and zero.
struct Range {
  int low;
  int high;

  bool IsInt4() const { return low >= -8 && high <= 7; }
};

Range RangeOf(const int8_t* x, size_t rows, size_t stride, size_t k) {
  int8x16_t low = vdupq_n_s8(0);
  int8x16_t high = vdupq_n_s8(0);
  for (size_t row = 0; row < rows; ++row, x += stride) {
    for (size_t i = 0; i < k; i += arm64::kBlockK) {
      const int8x16_t block = arm64::LoadBlock(x, i, k);
      low = vminq_s8(low, block);
      high = vmaxq_s8(high, block);
    }
  }
  return {vminvq_s8(low), vmaxvq_s8(high)};
}

}  // namespace

// The smaller the values, the more products fit in 16 bits.
void RunIntMatMul(const IntMatMul& op) {
  const Range range = RangeOf(op.b, op.n, op.b_stride, op.k);
  if (range.IsInt4() && RangeOf(op.a, op.m, op.a_stride, op.k).IsInt4()) {
    return arm64::RunIntMatMulWith<Armv8Tile<PanelRange::kNegatedInt4>>(op);
  }
  if (range.IsInt4()) {
    return arm64::RunIntMatMulWith<Armv8Tile<PanelRange::kAnyInt4>>(op);
  }
  if (range.low > INT8_MIN) return arm64::RunIntMatMulWith<Armv8Tile<PanelRange::kInt8>>(op);
  arm64::RunIntMatMulWith<Armv8Tile<PanelRange::kAnyInt8>>(op);
}

bool RunNarrowIntMatMul(const IntMatMul& op, int16_t* y) {
  return arm64::RunNarrowIntMatMulWith<Armv8Tile<PanelRange::kNegatedInt4>>(op, y);
}

}  // namespace neon
}  // namespace pqv
