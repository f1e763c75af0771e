#include "benchmarks/kernels/peak.h"

#include "kernels/common/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pqv {

#if defined(__x86_64__)

namespace {

constexpr size_t kRepeats = 20000;
constexpr size_t kSums = 12;  // enough to hide the latency of any of the instructions

bool HasFma() { return CpuHasAvx2() && __builtin_cpu_supports("fma"); }

__attribute__((target("avx2"))) size_t RunAvx2() {
  __m256i sums[kSums] = {};
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
  return kRepeats * kSums * 16;
}

// int4 by int8: sums of many products fit in 16 bits.
__attribute__((target("avx2"))) size_t RunAvx2Int4() {
  __m256i sums[kSums] = {};
  const __m256i x = _mm256_set1_epi8(3);
  for (size_t i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) {
      __m256i product = _mm256_maddubs_epi16(x, x);
      __asm__ volatile("" : "+x"(product));
      sum = _mm256_add_epi16(sum, product);
    }
  }
  for (__m256i& sum : sums) __asm__ volatile("" : "+x"(sum));
  return kRepeats * kSums * 32;
}

__attribute__((target("avx2,fma"))) size_t RunFma256() {
  __m256 sums[kSums] = {};
  const __m256 x = _mm256_set1_ps(0.5f);
  for (size_t i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(x, x, sum);
      __asm__ volatile("" : "+x"(sum));
    }
  }
  return kRepeats * kSums * 8;
}

__attribute__((target("avx512f"))) size_t RunFma512() {
  __m512 sums[kSums] = {};
  const __m512 x = _mm512_set1_ps(0.5f);
  for (size_t i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(x, x, sum);
      __asm__ volatile("" : "+v"(sum));
    }
  }
  return kRepeats * kSums * 16;
}

__attribute__((target("avx512f,avx512vnni"))) size_t RunAvx512Vnni() {
  __m512i sums[kSums] = {};
  const __m512i x = _mm512_set1_epi8(3);
  for (size_t i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (__m512i& sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, x, x);
      __asm__ volatile("" : "+v"(sum));
    }
  }
  return kRepeats * kSums * 64;
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

const Peak kPeaks[] = {
#if defined(PQV_HAS_AMX)
    {"amx", CpuHasAmx, RunAmx},
#endif
    {"avx512vnni", CpuHasAvx512Vnni, RunAvx512Vnni},
    {"avx2", CpuHasAvx2, RunAvx2},
    {"avx2 int4", CpuHasAvx2, RunAvx2Int4},
    {"fp32 avx512", CpuHasAvx512Vnni, RunFma512},
    {"fp32 avx2", HasFma, RunFma256},
    {},
};

#else

const Peak kPeaks[] = {{}};

#endif

}  // namespace pqv
