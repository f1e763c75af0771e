// What the fuzzer cannot see of the kernels for SME: that ZA stays its owner's. And whether this
// processor, which may be an emulated one, gets outer products right at all.
//
// Exits with 0, with 1 if ZA was changed, with 2 if outer products are wrong, with 3 without SME.

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "kernels/common/cpu.h"
#include "kernels/int_matmul/int_matmul.h"

namespace pqv {
namespace {

constexpr size_t kVectors = 64;  // of ZA, as many bytes each
constexpr size_t kRows = 16;     // of a tile, and columns

struct Za {
  uint8_t bytes[kVectors][kVectors];
};

void StartZa() { __asm__ volatile(".arch_extension sme\n\tsmstart za" : : : "memory"); }
void StopZa() { __asm__ volatile(".arch_extension sme\n\tsmstop za" : : : "memory"); }

bool IsZaOn() {
  uint64_t svcr;
  __asm__ volatile("mrs %0, S3_3_C4_C2_2" : "=r"(svcr));
  return (svcr & 2) != 0;
}

void LoadZa(const Za& za) {
  for (size_t i = 0; i < kVectors; ++i) {
    __asm__ volatile(".arch_extension sme\n\tmov w12, %w0\n\tldr za[w12, #0], [%1]"
                     :
                     : "r"(i), "r"(za.bytes[i])
                     : "x12", "memory");
  }
}

void StoreZa(Za* za) {
  for (size_t i = 0; i < kVectors; ++i) {
    __asm__ volatile(".arch_extension sme\n\tmov w12, %w0\n\tstr za[w12, #0], [%1]"
                     :
                     : "r"(i), "r"(za->bytes[i])
                     : "x12", "memory");
  }
}

void RunProduct() {
  int8_t a[5 * 7] = {1, 2, 3}, b[9 * 7] = {4, 5, 6};
  int32_t y[5 * 9];
  sme::RunIntMatMul({5, 9, 7, a, 7, b, 7, y, 9});
}

bool KeepsZa() {
  RunProduct();
  if (IsZaOn()) return false;
  Za before, after;
  for (size_t i = 0; i < kVectors; ++i) {
    for (size_t j = 0; j < kVectors; ++j) before.bytes[i][j] = static_cast<uint8_t>(i * 71 + j + 1);
  }
  StartZa();
  LoadZa(before);
  RunProduct();
  const bool is_on = IsZaOn();
  if (is_on) StoreZa(&after);
  StopZa();
  return is_on && memcmp(&before, &after, sizeof(before)) == 0;
}

// One SMOPA, whose result does not depend on our kernels.
bool MultipliesRightly() {
  int8_t a[4 * kRows], b[4 * kRows];
  for (size_t i = 0; i < sizeof(a); ++i) {
    a[i] = static_cast<int8_t>(i * 37 % 256 - 128);
    b[i] = static_cast<int8_t>(i * 91 % 256 - 128);
  }
  static Za za;
  __asm__ volatile(
      ".arch_extension sme\n\t"
      "smstart\n\t"
      "zero {za}\n\t"
      "ptrue p0.b\n\t"
      "ldr z0, [%0]\n\t"
      "ldr z1, [%1]\n\t"
      "smopa za0.s, p0/m, p0/m, z0.b, z1.b\n\t"
      "smstop sm"
      :
      : "r"(a), "r"(b)
      : "memory", "p0", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",
        "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
        "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  StoreZa(&za);
  StopZa();
  for (size_t r = 0; r < kRows; ++r) {
    int32_t row[kRows];
    memcpy(row, za.bytes[4 * r], sizeof(row));  // vectors of the four tiles take turns
    for (size_t c = 0; c < kRows; ++c) {
      int32_t sum = 0;
      for (size_t k = 0; k < 4; ++k) sum += a[4 * r + k] * b[4 * c + k];
      if (row[c] != sum) return false;
    }
  }
  return true;
}

int Run() {
  if (!CpuHasSme()) return printf("no SME with vectors of 512 bits\n"), 3;
  if (!KeepsZa()) return printf("ZA was changed\n"), 1;
  if (!MultipliesRightly()) return printf("this processor's outer products are wrong\n"), 2;
  return 0;
}

}  // namespace
}  // namespace pqv

int main() { return pqv::Run(); }
