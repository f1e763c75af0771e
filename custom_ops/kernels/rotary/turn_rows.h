// What the vector kernels of IntRotary share: which elements turn by which row of the tables.

#ifndef PQV_KERNELS_ROTARY_TURN_ROWS_H_
#define PQV_KERNELS_ROTARY_TURN_ROWS_H_

#include "kernels/common/sizes.h"
#include "kernels/rotary/rotary.h"

namespace pqv {

// A row of x and y, and that of the tables.
struct RotaryRow {
  const int8_t* x;
  const int16_t* cos;
  const int16_t* sin;
  int8_t* y;
};

// turn(row, d, count) for `count` elements from d on, kStep or what is left: of all of a row where
// pairs turn, of the first half, which turns with the second, where halves do.
template <size_t kStep, typename Turn>
static inline void TurnRows(const Rotary& op, const RotaryRows& rows, const Turn& turn) {
  const size_t width = op.pairs ? op.depth : op.depth / 2;
  size_t table_row = rows.begin / op.repeat % op.table_rows;
  size_t alike_end = rows.begin - rows.begin % op.repeat;
  for (size_t r = rows.begin; r < rows.end;) {
    const size_t table = table_row * op.depth;
    alike_end = Min(alike_end + op.repeat, rows.end);
    for (; r < alike_end; ++r) {
      const RotaryRow row = {rows.x + r * op.depth, op.cos + table, op.sin + table,
                             rows.y + r * op.depth};
      size_t d = 0;
      for (; d + kStep <= width; d += kStep) turn(row, d, kStep);
      if (d < width) turn(row, d, width - d);
    }
    if (++table_row == op.table_rows) table_row = 0;
  }
}

}  // namespace pqv

#endif  // PQV_KERNELS_ROTARY_TURN_ROWS_H_
