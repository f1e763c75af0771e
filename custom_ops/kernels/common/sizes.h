// How sizes are cut into parts.

#ifndef PQV_KERNELS_COMMON_SIZES_H_
#define PQV_KERNELS_COMMON_SIZES_H_

#include <stddef.h>

namespace pqv {

constexpr size_t kCacheLine = 64;

static constexpr size_t Min(size_t a, size_t b) { return a < b ? a : b; }

static constexpr size_t CeilDivide(size_t a, size_t b) { return (a + b - 1) / b; }

static constexpr size_t RoundUp(size_t x, size_t unit) { return CeilDivide(x, unit) * unit; }

// The size of the parts that `x` is cut into, the last one maybe smaller: as few as there can be of
// at most `most`, as even as whole units allow. `most` is a multiple of `unit`.
static constexpr size_t EvenPart(size_t x, size_t most, size_t unit) {
  const size_t parts = x > most ? CeilDivide(x, most) : 1;
  return RoundUp(CeilDivide(x, parts), unit);
}

}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_SIZES_H_
