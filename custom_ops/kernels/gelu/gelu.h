// IntGELU: a table of 256 entries, one per int8 value.

#ifndef PQV_KERNELS_GELU_GELU_H_
#define PQV_KERNELS_GELU_GELU_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

constexpr size_t kGeluTableSize = 256;

namespace scalar {
void RunGelu(const int8_t* table, const int8_t* x, size_t count, int8_t* y);
}
namespace avx2 {
void RunGelu(const int8_t* table, const int8_t* x, size_t count, int8_t* y);
}
namespace avx512vnni {
void RunGelu(const int8_t* table, const int8_t* x, size_t count, int8_t* y);
}
namespace neon {
void RunGelu(const int8_t* table, const int8_t* x, size_t count, int8_t* y);
}

}  // namespace pqv

#endif  // PQV_KERNELS_GELU_GELU_H_
