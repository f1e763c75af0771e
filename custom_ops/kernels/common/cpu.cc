#include "kernels/common/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>
#include <string.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>
#elif defined(__aarch64__)
#include <stdint.h>
#if defined(__APPLE__)
#include <stddef.h>
#include <sys/sysctl.h>
#else
#include <sys/auxv.h>
#endif
#endif

namespace pqv {

bool CpuIsAny() { return true; }

#if defined(__x86_64__)

namespace {

enum Feature : uint32_t {
  kDetected = 1u << 0,
  kAvx2 = 1u << 1,
  kAvx512Vnni = 1u << 2,
  kAvx512Vbmi = 1u << 3,
  kTiles = 1u << 4,
  kAvxVnni = 1u << 5,
  kAmd = 1u << 6,
};

constexpr bool HasBits(uint64_t word, uint64_t bits) { return (word & bits) == bits; }

// The register states that the operating system saves on a context switch (XCR0).
uint64_t EnabledStates() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

// Whether there is VPDPBUSD in AVX's encoding, or something else that knows it.
bool HasAvxVnni([[maybe_unused]] bool has_avx512_vnni, [[maybe_unused]] uint32_t last_of_leaf_7) {
#if defined(PQV_EMULATE)
  return has_avx512_vnni;
#else
  constexpr uint32_t kLeafAvxVnni = 1u << 4;  // leaf 7, 1, eax
  uint32_t a = 0, b = 0, c = 0, d = 0;
  return last_of_leaf_7 > 0 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && HasBits(a, kLeafAvxVnni);
#endif
}

// Whether there are tiles of int8, if the operating system hands them out.
bool HasTiles([[maybe_unused]] uint64_t states, [[maybe_unused]] uint32_t leaf_7_edx) {
#if defined(PQV_EMULATE)
  return true;
#else
  constexpr uint64_t kTileStates = 0x60000;                // XCR0
  constexpr uint32_t kTilesAndInt8 = 1u << 24 | 1u << 25;  // leaf 7, edx
  return HasBits(states, kTileStates) && HasBits(leaf_7_edx, kTilesAndInt8);
#endif
}

// Linux hands tiles out on request, for the whole process, whose signal stacks then have to be
// larger: not asked for by those who do without.
bool MayUseTiles() {
#if defined(PQV_EMULATE)
  return true;
#elif defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool IsAmd() {
  uint32_t a = 0, name[3] = {};
  return __get_cpuid(0, &a, &name[0], &name[2], &name[1]) && memcmp(name, "AuthenticAMD", 12) == 0;
}

uint32_t Detect() {
  constexpr uint32_t kOsxsaveAndAvx = 1u << 27 | 1u << 28;                     // leaf 1, ecx
  constexpr uint32_t kLeafAvx2 = 1u << 5;                                      // leaf 7, ebx
  constexpr uint32_t kLeafAvx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
  constexpr uint32_t kLeafVbmi = 1u << 1;                                      // leaf 7, ecx
  constexpr uint32_t kLeafGfni = 1u << 8;
  constexpr uint32_t kLeafVnni = 1u << 11;
  constexpr uint64_t kYmm = 0x6;
  constexpr uint64_t kZmm = 0xE6;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !HasBits(c, kOsxsaveAndAvx)) return 0;
  const uint64_t states = EnabledStates();
  if (!HasBits(states, kYmm) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  if (!HasBits(b, kLeafAvx2)) return 0;
  uint32_t features = kAvx2;
  const bool has_avx512_vnni =
      HasBits(states, kZmm) && HasBits(b, kLeafAvx512) && HasBits(c, kLeafVnni);
  if (HasAvxVnni(has_avx512_vnni, a)) features |= kAvxVnni;
  if (!has_avx512_vnni) return features;
  features |= kAvx512Vnni;
  if (IsAmd()) features |= kAmd;
  if (HasBits(c, kLeafVbmi)) features |= kAvx512Vbmi;
  if (HasBits(c, kLeafGfni) && HasTiles(states, d)) features |= kTiles;
  return features;
}

// CPUID is slow in virtual machines, so it is asked once.
bool Has(Feature feature) {
  static std::atomic<uint32_t> detected{0};
  uint32_t features = detected.load(std::memory_order_relaxed);
  if (features == 0) {
    features = Detect() | kDetected;
    detected.store(features, std::memory_order_relaxed);
  }
  return (features & feature) != 0;
}

}  // namespace

bool CpuHasAvx2() { return Has(kAvx2); }
bool CpuHasAvxVnni() { return Has(kAvxVnni); }
bool CpuHasAvx512Vnni() { return Has(kAvx512Vnni); }
bool CpuHasAvx512Vbmi() { return Has(kAvx512Vbmi); }
bool CpuHasPortsBesideVnni() { return Has(kAmd); }
bool CpuHasAmx() { return Has(kTiles) && MayUseTiles(); }

#elif defined(__aarch64__)

namespace {

constexpr uint64_t kSmeBytes = 64;  // of the vectors that the kernels are written for

// Of a vector while the processor streams: RDSVL, which not every assembler knows.
uint64_t StreamedBytes() {
  register uint64_t bytes __asm__("x0");
  __asm__ volatile(".inst 0x04bf5820" : "=r"(bytes));  // not before it is known to be there
  return bytes;
}

}  // namespace

#if defined(__APPLE__)

namespace {

bool Has(const char* feature) {
  int value = 0;
  size_t size = sizeof(value);
  return sysctlbyname(feature, &value, &size, nullptr, 0) == 0 && value != 0;
}

}  // namespace

bool CpuHasDotprod() { return Has("hw.optional.arm.FEAT_DotProd"); }
bool CpuHasI8mm() { return CpuHasDotprod() && Has("hw.optional.arm.FEAT_I8MM"); }
bool CpuHasSme() {
  return CpuHasI8mm() && Has("hw.optional.arm.FEAT_SME") && StreamedBytes() == kSmeBytes;
}

#else

namespace {

// Bits that Linux sets where it lets programs use the instructions, by name of its headers.
constexpr unsigned long kHwcapAsimddp = 1ul << 20;  // of AT_HWCAP
constexpr unsigned long kHwcap2I8mm = 1ul << 13;    // of AT_HWCAP2
constexpr unsigned long kHwcap2Sme = 1ul << 23;

}  // namespace

bool CpuHasDotprod() { return (getauxval(AT_HWCAP) & kHwcapAsimddp) != 0; }
bool CpuHasI8mm() { return CpuHasDotprod() && (getauxval(AT_HWCAP2) & kHwcap2I8mm) != 0; }
bool CpuHasSme() {
  return CpuHasI8mm() && (getauxval(AT_HWCAP2) & kHwcap2Sme) != 0 && StreamedBytes() == kSmeBytes;
}

#endif
#endif

}  // namespace pqv
