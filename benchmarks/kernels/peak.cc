#include "benchmarks/kernels/peak.h"

#include <string.h>

#include "kernels/common/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pqv {

#if defined(__x86_64__)

namespace {

constexpr size_t kRepeats = 20000;

__attribute__((target("avx2"))) size_t RunAvx2() {
  __m256i sums[12] = {};
  const __m256i x = _mm256_set1_epi16(3);
  for (size_t i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) {
      __m256i product = _mm256_madd_epi16(x, x);
      __asm__ volatile("" : "+x"(product));
      sum = _mm256_add_epi32(sum, product);
    }
  }
  for (__m256i& sum : sums) __asm__ volatile("" : "+x"(sum));
  return kRepeats * 12 * 16;
}

__attribute__((target("avx512f,avx512vnni"))) size_t RunAvx512Vnni() {
  __m512i sums[12] = {};
  const __m512i x = _mm512_set1_epi8(3);
  for (size_t i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (__m512i& sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, x, x);
      __asm__ volatile("" : "+v"(sum));
    }
  }
  return kRepeats * 12 * 64;
}

#if defined(PQV_HAS_AMX)
__attribute__((target("amx-tile,amx-int8"))) size_t RunAmx() {
  struct alignas(64) {
    unsigned char palette = 1;
    unsigned char reserved[15] = {};
    unsigned short bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  __asm__ volatile("" ::: "memory");  // the intrinsic does not say that it reads config
  _tile_loadconfig(&config);
  for (size_t i = 0; i < kRepeats; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return kRepeats * 4 * 16 * 16 * 64;
}
#endif

}  // namespace

size_t RunPeakLoop(const char* variant) {
  if (strcmp(variant, "avx2") == 0 && CpuHasAvx2()) return RunAvx2();
  if (strcmp(variant, "avx512vnni") == 0 && CpuHasAvx512Vnni()) return RunAvx512Vnni();
#if defined(PQV_HAS_AMX)
  if (strcmp(variant, "amx") == 0 && CpuHasAmx()) return RunAmx();
#endif
  return 0;
}

#else

size_t RunPeakLoop(const char*) { return 0; }

#endif

}  // namespace pqv
