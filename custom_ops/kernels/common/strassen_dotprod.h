// The seven products of a tile of Strassen's (strassen.h) with SDOT, for files built with +dotprod.
//
// In assembly, as 16 sums stay in registers from product to product: gcc moves them about between
// one loop and the next, which takes back what a product less saves.
//
// v0 .. v7 are 16 k of 8 channels, two vectors for each group of 4 k; v8 .. v15 those of 8 rows,
// the groups of rows 0 .. 3 and then those of rows 4 .. 7; v16 .. v31 the sums, two vectors for a
// row.

#ifndef PQV_KERNELS_COMMON_STRASSEN_DOTPROD_H_
#define PQV_KERNELS_COMMON_STRASSEN_DOTPROD_H_

#include "kernels/common/strassen.h"

namespace pqv {
namespace arm64 {

// clang-format off
#define PQV_DOT(sum, w, a, lane) "sdot v" #sum ".4s, v" #w ".16b, v" #a ".4b[" #lane "]\n\t"
// A group of 4 k: of rows 0 .. 3, and of rows 4 .. 7.
#define PQV_DOT_UPPER(low, high, a)               \
  PQV_DOT(16, low, a, 0) PQV_DOT(17, high, a, 0)  \
  PQV_DOT(18, low, a, 1) PQV_DOT(19, high, a, 1)  \
  PQV_DOT(20, low, a, 2) PQV_DOT(21, high, a, 2)  \
  PQV_DOT(22, low, a, 3) PQV_DOT(23, high, a, 3)
#define PQV_DOT_LOWER(low, high, a)               \
  PQV_DOT(24, low, a, 0) PQV_DOT(25, high, a, 0)  \
  PQV_DOT(26, low, a, 1) PQV_DOT(27, high, a, 1)  \
  PQV_DOT(28, low, a, 2) PQV_DOT(29, high, a, 2)  \
  PQV_DOT(30, low, a, 3) PQV_DOT(31, high, a, 3)
#define PQV_BLOCK                                                   \
  "ld1 {v0.16b, v1.16b, v2.16b, v3.16b}, [%[panel]], #64\n\t"       \
  "ld1 {v4.16b, v5.16b, v6.16b, v7.16b}, [%[panel]], #64\n\t"       \
  "ld1 {v8.16b, v9.16b, v10.16b, v11.16b}, [%[rows]], #64\n\t"      \
  "ld1 {v12.16b, v13.16b, v14.16b, v15.16b}, [%[rows]], #64\n\t"    \
  PQV_DOT_UPPER(0, 1, 8) PQV_DOT_UPPER(2, 3, 9)                     \
  PQV_DOT_UPPER(4, 5, 10) PQV_DOT_UPPER(6, 7, 11)                   \
  PQV_DOT_LOWER(0, 1, 12) PQV_DOT_LOWER(2, 3, 13)                   \
  PQV_DOT_LOWER(4, 5, 14) PQV_DOT_LOWER(6, 7, 15)
// Of all blocks of 16 k: the odd one, then two at a time.
#define PQV_PRODUCT                    \
  "lsr %[left], %[blocks], #1\n\t"     \
  "tbz %[blocks], #0, 1f\n\t"          \
  PQV_BLOCK                            \
  "cbz %[left], 2f\n"                  \
  "1:\n\t"                             \
  PQV_BLOCK PQV_BLOCK                  \
  "subs %[left], %[left], #1\n\t"      \
  "b.ne 1b\n"                          \
  "2:\n\t"
// All rows begin with the same two vectors of `start`.
#define PQV_COPY(to, from) "mov v" #to ".16b, v" #from ".16b\n\t"
#define PQV_BEGIN(offset)                          \
  "ldp q16, q17, [%[start], #" #offset "]\n\t"     \
  PQV_COPY(18, 16) PQV_COPY(19, 17)                \
  PQV_COPY(20, 16) PQV_COPY(21, 17)                \
  PQV_COPY(22, 16) PQV_COPY(23, 17)                \
  PQV_COPY(24, 16) PQV_COPY(25, 17)                \
  PQV_COPY(26, 16) PQV_COPY(27, 17)                \
  PQV_COPY(28, 16) PQV_COPY(29, 17)                \
  PQV_COPY(30, 16) PQV_COPY(31, 17)
// All rows and those of a block of sums, `block` bytes from their start.
#define PQV_ROWS(row, block)                            \
  row(block, 0, 16, 17) row(block, 32, 18, 19)          \
  row(block, 64, 20, 21) row(block, 96, 22, 23)         \
  row(block, 128, 24, 25) row(block, 160, 26, 27)       \
  row(block, 192, 28, 29) row(block, 224, 30, 31)
#define PQV_STORE(block, offset, low, high) \
  "stp q" #low ", q" #high ", [%[sums], #(" #block " + " #offset ")]\n\t"
#define PQV_LOAD(block, offset, low, high) \
  "ldp q" #low ", q" #high ", [%[sums], #(" #block " + " #offset ")]\n\t"
#define PQV_ADD(block, offset, low, high)       \
  PQV_LOAD(block, offset, 0, 1)                 \
  "add v" #low ".4s, v" #low ".4s, v0.4s\n\t"   \
  "add v" #high ".4s, v" #high ".4s, v1.4s\n\t"
#define PQV_ADD_TO(block, offset, low, high)    \
  PQV_LOAD(block, offset, 0, 1)                 \
  "add v0.4s, v0.4s, v" #low ".4s\n\t"          \
  "add v1.4s, v1.4s, v" #high ".4s\n\t"         \
  PQV_STORE(block, offset, 0, 1)
#define PQV_C11 0
#define PQV_C12 256
#define PQV_C21 512
#define PQV_C22 768

// From the factors of rows and channels, `blocks` times 16 k each, one or more. X = P1 + P6 waits
// where C12 will be, Y = X + P7 where C22 will be.
static __attribute__((noinline, unused)) void StrassenProducts(const uint8_t* rows,
                                                               const uint8_t* panel, size_t blocks,
                                                               const StrassenStart& start,
                                                               StrassenSums* sums) {
  size_t left;
  __asm__ volatile(
      PQV_BEGIN(0)
      PQV_PRODUCT  // P1
      PQV_ROWS(PQV_STORE, PQV_C12)
      PQV_PRODUCT  // P2
      PQV_ROWS(PQV_STORE, PQV_C11)
      PQV_ROWS(PQV_LOAD, PQV_C12)
      PQV_PRODUCT  // P6
      PQV_ROWS(PQV_STORE, PQV_C12)
      PQV_PRODUCT  // P7
      PQV_ROWS(PQV_STORE, PQV_C22)
      PQV_PRODUCT  // -P4
      PQV_ROWS(PQV_STORE, PQV_C21)
      PQV_BEGIN(32)
      PQV_PRODUCT  // P5
      PQV_ROWS(PQV_ADD_TO, PQV_C22)
      PQV_ROWS(PQV_ADD, PQV_C12)
      PQV_PRODUCT  // P3
      PQV_ROWS(PQV_STORE, PQV_C12)
      : [rows] "+r"(rows), [panel] "+r"(panel), [left] "=&r"(left)
      : [blocks] "r"(blocks), [start] "r"(&start), [sums] "r"(sums)
      : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",
        "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
        "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}
// clang-format on

#undef PQV_DOT
#undef PQV_DOT_UPPER
#undef PQV_DOT_LOWER
#undef PQV_BLOCK
#undef PQV_PRODUCT
#undef PQV_COPY
#undef PQV_BEGIN
#undef PQV_ROWS
#undef PQV_STORE
#undef PQV_LOAD
#undef PQV_ADD
#undef PQV_ADD_TO
#undef PQV_C11
#undef PQV_C12
#undef PQV_C21
#undef PQV_C22

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_STRASSEN_DOTPROD_H_
