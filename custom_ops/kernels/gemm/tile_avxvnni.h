// Tiles of bytes by VPDPBUSD on vectors of 256 bits, for files built with -mavxvnni or, where that
// is emulated, with the VL and VNNI of AVX-512, whose encoding of the same instruction it then is.

#ifndef PQV_KERNELS_GEMM_TILE_AVXVNNI_H_
#define PQV_KERNELS_GEMM_TILE_AVXVNNI_H_

#include "kernels/gemm/tile_avx2.h"

namespace pqv {
namespace avxvnni {

// Sums of 32 bits, exact for all bytes.
namespace {
struct Dpbusd {
  static constexpr bool kTakesAll = true;
  static constexpr size_t kRows = 6;  // 12 sums, 2 weights, 1 activation
  static constexpr size_t kBlockRows = 102;

  // In assembly, as sums of tile_avx2.h: gcc 12 copies them from one register to another.
  static PQV_INLINE void Add(__m256i x, __m256i signed_x, __m256i* sum) {
#if defined(__AVXVNNI__)
    __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(*sum) : "x"(x), "x"(signed_x));
#else
    __asm__ volatile("vpdpbusd %2, %1, %0" : "+x"(*sum) : "x"(x), "x"(signed_x));
#endif
  }

  static PQV_INLINE __m256i Sums(__m256i x) { return x; }

  // No limit.
  static PQV_INLINE size_t Groups(size_t, size_t) { return size_t{1} << 32; }
};
}  // namespace

}  // namespace avxvnni
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_AVXVNNI_H_
