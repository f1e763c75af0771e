// IntAdd: two int8 tensors with steps of their own per channel, summed.

#ifndef PQV_KERNELS_ADD_ADD_H_
#define PQV_KERNELS_ADD_ADD_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"
#include "kernels/common/requantizer.h"

namespace pqv {

// What a node fixes. Arrays of channels are padded, see kChannelPadding.
struct IntAdd {
  size_t channels;
  const int16_t* a_multiplier;
  const int16_t* b_multiplier;
  int y_bits;
};

// Rows of the output, each of as many elements as there are channels.
struct AddRows {
  size_t begin, end;
  const int8_t* a;  // row 0
  const int8_t* b;  // row 0; row r of the output reads row r % b_rows
  size_t b_rows;
  int8_t* y;  // row 0
};

PQV_IN_EACH_ISA(void RunAdd(const IntAdd& op, const AddRows& rows);)

}  // namespace pqv

#endif  // PQV_KERNELS_ADD_ADD_H_
