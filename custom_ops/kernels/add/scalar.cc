#include "kernels/add/add.h"
#include "kernels/common/arithmetic.h"

namespace pqv {
namespace scalar {

void RunAdd(const IntAdd& op, const AddRows& rows) {
  for (size_t row = rows.begin; row < rows.end; ++row) {
    const int8_t* const a = rows.a + row * op.channels;
    const int8_t* const b = rows.b + row % rows.b_rows * op.channels;
    int8_t* const y = rows.y + row * op.channels;
    for (size_t c = 0; c < op.channels; ++c) {
      const int32_t a_link = MulQ15(a[c] * 256, op.a_multiplier[c]);
      const int32_t b_link = MulQ15(b[c] * 256, op.b_multiplier[c]);
      y[c] = Narrow(Saturate16(a_link + b_link), op.y_bits);
    }
  }
}

}  // namespace scalar
}  // namespace pqv
