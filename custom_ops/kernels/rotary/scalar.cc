#include "kernels/common/arithmetic.h"
#include "kernels/rotary/rotary.h"

namespace pqv {
namespace scalar {
namespace {

// Element d of rotated(x).
int32_t Rotated(const Rotary& op, const int8_t* x, size_t d) {
  const size_t distance = op.pairs ? 1 : op.depth / 2;
  const bool is_first = d / distance % 2 == 0;
  return is_first ? -x[d + distance] : x[d - distance];
}

}  // namespace

void RunRotary(const Rotary& op, const RotaryRows& rows) {
  for (size_t row = rows.begin; row < rows.end; ++row) {
    const int8_t* const x = rows.x + row * op.depth;
    const size_t table = row / op.repeat % op.table_rows * op.depth;
    const int16_t* const cos = op.cos + table;
    const int16_t* const sin = op.sin + table;
    int8_t* const y = rows.y + row * op.depth;
    for (size_t d = 0; d < op.depth; ++d) {
      const int32_t sum = x[d] * cos[d] + Rotated(op, x, d) * sin[d];
      y[d] = Narrow(Requantize(sum, op.shift, op.multiplier), op.y_bits);
    }
  }
}

}  // namespace scalar
}  // namespace pqv
