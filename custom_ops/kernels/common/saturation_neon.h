// Whether values are codes of 4 bits, in one instruction for 16 of them: the flag QC of arm64,
// which instructions that saturate set and none clears.

#ifndef PQV_KERNELS_COMMON_SATURATION_NEON_H_
#define PQV_KERNELS_COMMON_SATURATION_NEON_H_

#include "kernels/gemm/tile_neon.h"

namespace pqv {
namespace arm64 {

static inline void ForgetSaturation() {
  uint64_t status;
  __asm__ volatile(
      "mrs %[status], fpsr\n\t"
      "bic %[status], %[status], #(1 << 27)\n\t"
      "msr fpsr, %[status]"
      : [status] "=r"(status));
}

// Since ForgetSaturation().
static inline bool HasSaturated() {
  uint64_t status;
  __asm__ volatile("mrs %[status], fpsr" : [status] "=r"(status));
  return (status >> 27 & 1) != 0;
}

// Saturates where a value is beyond [-8, 7].
static PQV_INLINE void SaturateBeyondInt4(int8x16_t x) {
  int8x16_t unused;
  __asm__ volatile("sqshl %0.16b, %1.16b, #4" : "=w"(unused) : "w"(x));
}

// Whether all values are in [-8, 7]. Those of 8 bits are mostly told by the first row.
static inline bool AreInt4(const int8_t* x, size_t rows, size_t stride, size_t k) {
  ForgetSaturation();
  for (size_t row = 0; row < rows; ++row, x += stride) {
    size_t i = 0;
    for (; i + 4 * kBlockK <= k; i += 4 * kBlockK) {
#pragma GCC unroll 4
      for (size_t b = 0; b < 4; ++b) SaturateBeyondInt4(LoadBytes(x + i + b * kBlockK));
    }
    for (; i < k; i += kBlockK) SaturateBeyondInt4(LoadBlock(x, i, k));
    if (row == 0 && HasSaturated()) return false;
  }
  return !HasSaturated();
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_SATURATION_NEON_H_
