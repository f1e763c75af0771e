#include "kernels/gelu/gelu.h"

namespace pqv {
namespace scalar {

void RunGelu(const int8_t* table, const GeluBlock& block) {
  for (size_t row = 0; row < block.rows; ++row) {
    const int8_t* x = block.x + row * block.stride;
    int8_t* y = block.y + row * block.stride;
    for (size_t i = 0; i < block.width; ++i) y[i] = table[x[i] + 128];
  }
}

}  // namespace scalar
}  // namespace pqv
