// Whether values are codes of 4 bits, in one instruction for 16 of them: the flag QC of arm64,
// which instructions that saturate set and none clears.

#ifndef PQV_KERNELS_COMMON_SATURATION_NEON_H_
#define PQV_KERNELS_COMMON_SATURATION_NEON_H_

#include <arm_neon.h>
#include <stdint.h>

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
static __attribute__((always_inline)) inline void SaturateBeyondInt4(int8x16_t x) {
  int8x16_t unused;
  __asm__ volatile("sqshl %0.16b, %1.16b, #4" : "=w"(unused) : "w"(x));
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_SATURATION_NEON_H_
