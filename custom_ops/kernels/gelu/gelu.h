// IntGELU: a table of 256 entries, one per int8 value.

#ifndef PQV_KERNELS_GELU_GELU_H_
#define PQV_KERNELS_GELU_GELU_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

constexpr size_t kGeluTableSize = 256;

// A block of bytes: row r is at x + r * stride, and at y + r * stride when it is done. x and y are
// the same or do not overlap.
struct GeluBlock {
  size_t rows;
  size_t width;
  size_t stride;
  const int8_t* x;
  int8_t* y;
};

namespace scalar {
void RunGelu(const int8_t* table, const GeluBlock& block);
}
namespace avx2 {
void RunGelu(const int8_t* table, const GeluBlock& block);
}
namespace avx512vnni {
void RunGelu(const int8_t* table, const GeluBlock& block);
}
namespace neon {
void RunGelu(const int8_t* table, const GeluBlock& block);
}

}  // namespace pqv

#endif  // PQV_KERNELS_GELU_GELU_H_
