// IntGate: the product of two activations.

#ifndef PQV_KERNELS_GATE_GATE_H_
#define PQV_KERNELS_GATE_GATE_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"

namespace pqv {

struct Gate {
  int a_zero_point;  // in the int8 range, as the other
  int b_zero_point;
  int shift;
  int multiplier;
  int y_bits;
};

PQV_IN_EACH_ISA(void RunGate(const Gate& op, const int8_t* a, const int8_t* b, size_t count,
                             int8_t* y);)

}  // namespace pqv

#endif  // PQV_KERNELS_GATE_GATE_H_
