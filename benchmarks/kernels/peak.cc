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

// kRepeats times `body` for each of the sums, registers 0 .. 11; 12 and 13 are zero, 14 is free. In
// assembly, because compilers would move sums between registers.
#define PQV_REPEAT(body)                                                                           \
  __asm__ volatile(                                                                                \
      ".irp zero,0,1,2,3,4,5,6,7,8,9,10,11,12,13\n"                                                \
      "vpxor %%xmm\\zero, %%xmm\\zero, %%xmm\\zero\n"                                              \
      ".endr\n" ::                                                                                 \
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",        \
            "xmm10", "xmm11", "xmm12", "xmm13", "xmm14");                                          \
  for (size_t i = 0; i < kRepeats; ++i) {                                                          \
    __asm__ volatile(".irp sum,0,1,2,3,4,5,6,7,8,9,10,11\n" body ".endr\n" ::                      \
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14");                   \
  }                                                                                                \
  __asm__ volatile("vzeroupper" ::: "memory")

size_t RunAvx2() {
  PQV_REPEAT(
      "vpmaddwd %%ymm12, %%ymm13, %%ymm14\n"
      "vpaddd %%ymm14, %%ymm\\sum, %%ymm\\sum\n");
  return kRepeats * kSums * 16;
}

// int4 by int8: sums of many products fit in 16 bits.
size_t RunAvx2Int4() {
  PQV_REPEAT(
      "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n"
      "vpaddw %%ymm14, %%ymm\\sum, %%ymm\\sum\n");
  return kRepeats * kSums * 32;
}

size_t RunFma256() {
  PQV_REPEAT("vfmadd231ps %%ymm12, %%ymm13, %%ymm\\sum\n");
  return kRepeats * kSums * 8;
}

size_t RunFma512() {
  PQV_REPEAT("vfmadd231ps %%zmm12, %%zmm13, %%zmm\\sum\n");
  return kRepeats * kSums * 16;
}

#if defined(PQV_EMULATE)
#define PQV_VEX  // assemblers take AVX-512's encoding
#else
#define PQV_VEX "%{vex%} "
#endif

size_t RunAvxVnni() {
  PQV_REPEAT(PQV_VEX "vpdpbusd %%ymm12, %%ymm13, %%ymm\\sum\n");
  return kRepeats * kSums * 32;
}

size_t RunAvx512Vnni() {
  PQV_REPEAT("vpdpbusd %%zmm12, %%zmm13, %%zmm\\sum\n");
  return kRepeats * kSums * 64;
}

#if defined(PQV_HAS_AMX) && !defined(PQV_EMULATE)
__attribute__((target("amx-tile,amx-int8"))) size_t RunAmx() {
  struct alignas(64) {
    unsigned char palette = 1;
    unsigned char reserved[15] = {};
    unsigned short bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  // Not zeros, on which the instruction is 1.2 to 1.3 times as fast as on any other numbers.
  alignas(64) unsigned char numbers[16 * 64];
  for (size_t i = 0; i < sizeof(numbers); ++i) numbers[i] = static_cast<unsigned char>(i * 37 + 11);
  __asm__ volatile("" ::: "memory");  // the intrinsics do not say what they read
  _tile_loadconfig(&config);
  _tile_loadd(4, numbers, 64);
  _tile_loadd(5, numbers, 64);
  _tile_loadd(6, numbers, 64);
  _tile_loadd(7, numbers, 64);
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
#if defined(PQV_HAS_AMX) && !defined(PQV_EMULATE)
    {"amx", CpuHasAmx, RunAmx},
#endif
    {"avx512vnni", CpuHasAvx512Vnni, RunAvx512Vnni},
    {"avxvnni", CpuHasAvxVnni, RunAvxVnni},
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
