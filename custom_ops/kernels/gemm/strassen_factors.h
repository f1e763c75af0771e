// The factors of Strassen's product (strassen.h) of codes of 4 bits, in groups of 4 k of 8 rows or
// channels: for each 16 k those of rows 0 .. 3 and then those of rows 4 .. 7; all 8 channels.
//
// In assembly: gcc copies what one instruction stores from four registers into consecutive ones.
// What of it is assembled depends on the template's argument.

#ifndef PQV_KERNELS_GEMM_STRASSEN_FACTORS_H_
#define PQV_KERNELS_GEMM_STRASSEN_FACTORS_H_

#include "kernels/gemm/strassen.h"

namespace pqv {
namespace arm64 {

// clang-format off
#define PQV_OF_FOUR(op, x0, x1, x2, x3, y0, y1, y2, y3, z0, z1, z2, z3)         \
  op " v" #x0 ".16b, v" #y0 ".16b, v" #z0 ".16b\n\t"                            \
  op " v" #x1 ".16b, v" #y1 ".16b, v" #z1 ".16b\n\t"                            \
  op " v" #x2 ".16b, v" #y2 ".16b, v" #z2 ".16b\n\t"                            \
  op " v" #x3 ".16b, v" #y3 ".16b, v" #z3 ".16b\n\t"
// 16 k of four rows; codes saturate v8 where they are beyond [-8, 7].
#define PQV_LOAD_ROW(x, row, k)                                                 \
  "ldr q" #x ", [%[" #row "], %[" #k "]]\n\t"                                   \
  ".if %c[are_codes]\n\t"                                                       \
  "sqshl v8.16b, v" #x ".16b, #4\n\t"                                           \
  ".endif\n\t"
#define PQV_LOAD_ROWS(x0, x1, x2, x3, rows, k)                                  \
  PQV_LOAD_ROW(x0, rows##0, k) PQV_LOAD_ROW(x1, rows##1, k)                     \
  PQV_LOAD_ROW(x2, rows##2, k) PQV_LOAD_ROW(x3, rows##3, k)
#define PQV_STORE_ROWS(x0, x3, target)                                          \
  "st4 {v" #x0 ".4s-v" #x3 ".4s}, [%[" #target "]], %[step]\n\t"

// Of four rows from `upper` on and the four that are eight rows below, to where those of the block
// A11 belong; a block has `block_k`, a multiple of 16. Rows have codes, or sums of them.
template <bool kAreCodes>
static __attribute__((noinline, unused)) void MakeFactorsOfRows(const uint8_t* upper, size_t stride, size_t block_k,
                                     uint8_t* a11) {
  const uint8_t* const lower = upper + 8 * stride;
  const size_t bytes = 8 * block_k;
  uint8_t* a12 = a11 + bytes;
  uint8_t* s2 = a12 + bytes;
  uint8_t* s3 = s2 + bytes;
  uint8_t* a22 = s3 + bytes;
  uint8_t* s1 = a22 + bytes;
  uint8_t* s4 = s1 + bytes;
  size_t left = 0;
  size_t right = block_k;
  __asm__ volatile(
      "1:\n\t"
      PQV_LOAD_ROWS(0, 1, 2, 3, upper, left)
      PQV_LOAD_ROWS(4, 5, 6, 7, upper, right)
      PQV_LOAD_ROWS(16, 17, 18, 19, lower, left)
      PQV_LOAD_ROWS(20, 21, 22, 23, lower, right)
      PQV_STORE_ROWS(0, 3, a11)
      PQV_STORE_ROWS(20, 23, a22)
      PQV_OF_FOUR("add", 20, 21, 22, 23, 16, 17, 18, 19, 20, 21, 22, 23)  // S1 = A21 + A22
      PQV_OF_FOUR("sub", 16, 17, 18, 19, 0, 1, 2, 3, 16, 17, 18, 19)      // S3 = A11 - A21
      PQV_STORE_ROWS(4, 7, a12)
      PQV_STORE_ROWS(16, 19, s3)
      PQV_OF_FOUR("sub", 0, 1, 2, 3, 20, 21, 22, 23, 0, 1, 2, 3)          // S2 = S1 - A11
      PQV_STORE_ROWS(20, 23, s1)
      PQV_OF_FOUR("sub", 4, 5, 6, 7, 4, 5, 6, 7, 0, 1, 2, 3)              // S4 = A12 - S2
      PQV_STORE_ROWS(0, 3, s2)
      PQV_STORE_ROWS(4, 7, s4)
      "add %[left], %[left], #16\n\t"
      "add %[right], %[right], #16\n\t"
      "cmp %[left], %[block_k]\n\t"
      "b.lo 1b"
      : [left] "+&r"(left), [right] "+&r"(right), [a11] "+&r"(a11), [a12] "+&r"(a12), [s2] "+&r"(s2),
        [s3] "+&r"(s3), [a22] "+&r"(a22), [s1] "+&r"(s1), [s4] "+&r"(s4)
      : [upper0] "r"(upper), [upper1] "r"(upper + stride), [upper2] "r"(upper + 2 * stride),
        [upper3] "r"(upper + 3 * stride), [lower0] "r"(lower), [lower1] "r"(lower + stride),
        [lower2] "r"(lower + 2 * stride), [lower3] "r"(lower + 3 * stride),
        [step] "r"(size_t{128}), [block_k] "r"(block_k), [are_codes] "i"(kAreCodes)
      : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v16", "v17", "v18",
        "v19", "v20", "v21", "v22", "v23");
}

// Two groups, x0 .. x3; those of the file are widened.
#define PQV_WIDEN(low, high, x)                                                 \
  "shl v" #low ".16b, v" #x ".16b, #4\n\t"                                      \
  "sshr v" #low ".16b, v" #low ".16b, #4\n\t"                                   \
  "sshr v" #high ".16b, v" #x ".16b, #4\n\t"
#define PQV_LOAD_GROUPS(x0, x1, x2, x3, source)                                 \
  ".if %c[are_codes]\n\t"                                                       \
  "ld1 {v0.16b, v1.16b}, [%[" #source "]], #32\n\t"                             \
  PQV_WIDEN(x0, x1, 0) PQV_WIDEN(x2, x3, 1)                                     \
  ".else\n\t"                                                                   \
  "ld1 {v" #x0 ".16b-v" #x3 ".16b}, [%[" #source "]], #64\n\t"                  \
  ".endif\n\t"
#define PQV_STORE_GROUPS(x0, x3, block)                                         \
  "st1 {v" #x0 ".16b-v" #x3 ".16b}, [%[" #block "]], #64\n\t"

// Of 8 channels from each of four blocks, `groups` each, a multiple of two. Codes are packed as in the
// file, and B12 is wanted, too; sums of them are bytes.
template <bool kAreCodes>
static __attribute__((noinline, unused)) void MakeFactorsOfPanels(const uint8_t* from11, const uint8_t* from12,
                                       const uint8_t* from21, const uint8_t* from22, size_t groups,
                                       uint8_t* b11) {
  const size_t bytes = 32 * groups;
  uint8_t* b21 = b11 + bytes;
  uint8_t* t2 = b21 + bytes;
  uint8_t* t3 = t2 + bytes;
  uint8_t* t4 = t3 + bytes;
  uint8_t* t1 = t4 + bytes;
  uint8_t* b22 = t1 + bytes;
  uint8_t* b12 = b22 + bytes;
  __asm__ volatile(
      "1:\n\t"
      PQV_LOAD_GROUPS(16, 17, 18, 19, from11)
      PQV_LOAD_GROUPS(20, 21, 22, 23, from12)
      PQV_LOAD_GROUPS(24, 25, 26, 27, from21)
      PQV_LOAD_GROUPS(28, 29, 30, 31, from22)
      PQV_STORE_GROUPS(16, 19, b11)
      ".if %c[are_codes]\n\t"
      PQV_STORE_GROUPS(20, 23, b12)
      ".endif\n\t"
      PQV_OF_FOUR("sub", 16, 17, 18, 19, 20, 21, 22, 23, 16, 17, 18, 19)  // T1 = B12 - B11
      PQV_OF_FOUR("sub", 20, 21, 22, 23, 28, 29, 30, 31, 20, 21, 22, 23)  // T3 = B22 - B12
      PQV_STORE_GROUPS(24, 27, b21)
      PQV_STORE_GROUPS(28, 31, b22)
      PQV_OF_FOUR("sub", 28, 29, 30, 31, 28, 29, 30, 31, 16, 17, 18, 19)  // T2 = B22 - T1
      PQV_STORE_GROUPS(16, 19, t1)
      PQV_STORE_GROUPS(20, 23, t3)
      PQV_OF_FOUR("sub", 24, 25, 26, 27, 24, 25, 26, 27, 28, 29, 30, 31)  // -T4 = B21 - T2
      PQV_STORE_GROUPS(28, 31, t2)
      PQV_STORE_GROUPS(24, 27, t4)
      "subs %[groups], %[groups], #2\n\t"
      "b.ne 1b"
      : [from11] "+&r"(from11), [from12] "+&r"(from12), [from21] "+&r"(from21), [from22] "+&r"(from22),
        [groups] "+&r"(groups), [b11] "+&r"(b11), [b12] "+&r"(b12), [b21] "+&r"(b21), [b22] "+&r"(b22),
        [t1] "+&r"(t1), [t2] "+&r"(t2), [t3] "+&r"(t3), [t4] "+&r"(t4)
      : [are_codes] "i"(kAreCodes)
      : "cc", "memory", "v0", "v1", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
        "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}
// clang-format on

#undef PQV_OF_FOUR
#undef PQV_LOAD_ROW
#undef PQV_LOAD_ROWS
#undef PQV_STORE_ROWS
#undef PQV_WIDEN
#undef PQV_LOAD_GROUPS
#undef PQV_STORE_GROUPS

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_STRASSEN_FACTORS_H_
