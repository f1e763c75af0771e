// IntRotary: rotary position embedding of int8 rows.

#ifndef PQV_KERNELS_ROTARY_ROTARY_H_
#define PQV_KERNELS_ROTARY_ROTARY_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"

namespace pqv {

struct Rotary {
  size_t depth;       // elements of a row, an even number
  bool pairs;         // neighbours turn together, else halves
  size_t repeat;      // rows in a row of x that read the same row of the tables, 1 or more
  size_t table_rows;  // row r of x reads row r / repeat % table_rows of both tables
  const int16_t* cos;
  const int16_t* sin;
  int shift;
  int multiplier;
  int y_bits;
};

// Rows of x and y, each of `depth` elements.
struct RotaryRows {
  size_t begin, end;
  const int8_t* x;  // row 0
  int8_t* y;        // row 0
};

PQV_IN_EACH_ISA(void RunRotary(const Rotary& op, const RotaryRows& rows);)

}  // namespace pqv

#endif  // PQV_KERNELS_ROTARY_ROTARY_H_
