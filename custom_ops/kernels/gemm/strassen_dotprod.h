// The seven products of a tile of Strassen's (strassen.h) with SDOT, for files built with +dotprod.
//
// In assembly, as 16 sums stay in registers from product to product: gcc moves them about between
// one loop and the next, which takes back what a product less saves.
//
// v0 .. v7 are 16 k of 8 channels, two vectors for each group of 4 k; v8 .. v15 those of 8 rows,
// the groups of rows 0 .. 3 and then those of rows 4 .. 7; v16 .. v31 the sums, two vectors for a
// row.

#ifndef PQV_KERNELS_GEMM_STRASSEN_DOTPROD_H_
#define PQV_KERNELS_GEMM_STRASSEN_DOTPROD_H_

#include "kernels/common/limits.h"
#include "kernels/gemm/strassen.h"

namespace pqv {
namespace arm64 {

constexpr size_t kProductBlocks = 12;  // of PQV_DEFINE_PRODUCT
constexpr size_t kMaxStrassenBlocks = 2 * kProductBlocks;

// Where calls may go to if code is protected by landing pads (BTI).
#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define PQV_LANDING "hint #34\n\t"
constexpr size_t kLandings = 1;
#else
#define PQV_LANDING
constexpr size_t kLandings = 0;
#endif
constexpr size_t kBlockBytes = 4 * (kLandings + 4 + 64);  // of PQV_BLOCK: loads, SDOT
constexpr size_t kCallBytes = 4 * (kLandings + 3);        // in front of them

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
  PQV_LANDING                                                       \
  "ld1 {v0.16b, v1.16b, v2.16b, v3.16b}, [%[panel]], #64\n\t"       \
  "ld1 {v4.16b, v5.16b, v6.16b, v7.16b}, [%[panel]], #64\n\t"       \
  "ld1 {v8.16b, v9.16b, v10.16b, v11.16b}, [%[rows]], #64\n\t"      \
  "ld1 {v12.16b, v13.16b, v14.16b, v15.16b}, [%[rows]], #64\n\t"    \
  PQV_DOT_UPPER(0, 1, 8) PQV_DOT_UPPER(2, 3, 9)                     \
  PQV_DOT_UPPER(4, 5, 10) PQV_DOT_UPPER(6, 7, 11)                   \
  PQV_DOT_LOWER(0, 1, 12) PQV_DOT_LOWER(2, 3, 13)                   \
  PQV_DOT_LOWER(4, 5, 14) PQV_DOT_LOWER(6, 7, 15)
// A product, which all seven call: kProductBlocks of 16 k without a loop, which would take two
// instructions each time round. Fewer blocks enter it further down; more enter it in front, where
// those beyond call the end of it (`before`).
#define PQV_SIX_BLOCKS PQV_BLOCK PQV_BLOCK PQV_BLOCK PQV_BLOCK PQV_BLOCK PQV_BLOCK
#define PQV_DEFINE_PRODUCT                                      \
  "b 9f\n\t"                                                    \
  PQV_LANDING                                                   \
  "mov %[back], x30\n\t"                                        \
  "blr %[before]\n\t"                                           \
  "mov x30, %[back]\n\t"                                        \
  PQV_SIX_BLOCKS PQV_SIX_BLOCKS                                 \
  "8:\n\t"                                                      \
  "ret\n"                                                       \
  "9:\n\t"                                                      \
  "adr %[product], 8b\n\t"                                      \
  "sub %[before], %[product], %[before_bytes]\n\t"              \
  "sub %[product], %[product], %[product_bytes]\n\t"
#define PQV_PRODUCT "blr %[product]\n\t"
// All rows are like the first one.
#define PQV_COPY(to, from) "mov v" #to ".16b, v" #from ".16b\n\t"
#define PQV_COPY_ROW                               \
  PQV_COPY(18, 16) PQV_COPY(19, 17)                \
  PQV_COPY(20, 16) PQV_COPY(21, 17)                \
  PQV_COPY(22, 16) PQV_COPY(23, 17)                \
  PQV_COPY(24, 16) PQV_COPY(25, 17)                \
  PQV_COPY(26, 16) PQV_COPY(27, 17)                \
  PQV_COPY(28, 16) PQV_COPY(29, 17)                \
  PQV_COPY(30, 16) PQV_COPY(31, 17)
// What sums begin with: the bias of the left blocks, and how much more it is in the right ones.
#define PQV_BEGIN_LEFT                             \
  "ldp q16, q17, [%[bias]]\n\t"                    \
  PQV_COPY_ROW
#define PQV_BEGIN_DIFFERENCE                       \
  "ldp q0, q1, [%[bias]]\n\t"                      \
  "ldp q16, q17, [%[bias], #32]\n\t"               \
  "sub v16.4s, v16.4s, v0.4s\n\t"                  \
  "sub v17.4s, v17.4s, v1.4s\n\t"                  \
  PQV_COPY_ROW
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
#define PQV_LOAD_INITIAL(block, offset) \
  "ldp q0, q1, [%[initial], #(" #block " + " #offset ")]\n\t"
#define PQV_ADD_INITIAL(block, offset, low, high)    \
  PQV_LOAD_INITIAL(block, offset)                    \
  "add v" #low ".4s, v" #low ".4s, v0.4s\n\t"        \
  "add v" #high ".4s, v" #high ".4s, v1.4s\n\t"
#define PQV_STORE_WITH_INITIAL(block, offset, low, high)  \
  PQV_LOAD_INITIAL(block, offset)                         \
  "add v0.4s, v0.4s, v" #low ".4s\n\t"                    \
  "add v1.4s, v1.4s, v" #high ".4s\n\t"                   \
  PQV_STORE(block, offset, 0, 1)
// What a block begins with, if there is such: added to its sums, or to where they wait.
#define PQV_BEGIN_BLOCK(block)               \
  "cbz %[initial], 3f\n\t"                   \
  PQV_ROWS(PQV_ADD_INITIAL, block)           \
  "3:\n\t"
#define PQV_WAIT(block)                      \
  "cbz %[initial], 3f\n\t"                   \
  PQV_ROWS(PQV_STORE_WITH_INITIAL, block)    \
  "b 4f\n"                                   \
  "3:\n\t"                                   \
  PQV_ROWS(PQV_STORE, block)                 \
  "4:\n\t"
#define PQV_ADD_TO(block, offset, low, high)    \
  PQV_LOAD(block, offset, 0, 1)                 \
  "add v0.4s, v0.4s, v" #low ".4s\n\t"          \
  "add v1.4s, v1.4s, v" #high ".4s\n\t"         \
  PQV_STORE(block, offset, 0, 1)
// Requantizes two rows of sums, as UpperHalves and Narrow16 do.
#define PQV_NARROW(residual, low, high, next_low, next_high)                          \
  "sqshl v" #low ".4s, v" #low ".4s, v0.4s\n\t"                                       \
  "sqshl v" #high ".4s, v" #high ".4s, v1.4s\n\t"                                     \
  "sqshl v" #next_low ".4s, v" #next_low ".4s, v0.4s\n\t"                             \
  "sqshl v" #next_high ".4s, v" #next_high ".4s, v1.4s\n\t"                           \
  "uzp2 v" #low ".8h, v" #low ".8h, v" #high ".8h\n\t"                                \
  "uzp2 v" #next_low ".8h, v" #next_low ".8h, v" #next_high ".8h\n\t"                 \
  "sqrdmulh v" #low ".8h, v" #low ".8h, v2.8h\n\t"                                    \
  "sqrdmulh v" #next_low ".8h, v" #next_low ".8h, v2.8h\n\t"                          \
  residual(low) residual(next_low)                                                    \
  "sqrshrn v" #low ".8b, v" #low ".8h, %[fraction]\n\t"                               \
  "sqrshrn2 v" #low ".16b, v" #next_low ".8h, %[fraction]\n\t"                        \
  "smax v" #low ".16b, v" #low ".16b, v3.16b\n\t"                                     \
  "smin v" #low ".16b, v" #low ".16b, v4.16b\n\t"                                     \
  "st1 {v" #low ".d}[0], [%[y]], %[y_stride]\n\t"                                     \
  "st1 {v" #low ".d}[1], [%[y]], %[y_stride]\n\t"
#define PQV_NO_RESIDUAL(row)
#define PQV_RESIDUAL(row)                                     \
  "ld1 {v6.8b}, [%[residual]], %[residual_stride]\n\t"        \
  "shll v6.8h, v6.8b, #8\n\t"                                 \
  "sqrdmulh v6.8h, v6.8h, v5.8h\n\t"                          \
  "sqadd v" #row ".8h, v" #row ".8h, v6.8h\n\t"
// Rows of sums, or of their total with what waits at `block`, which leaves them alone.
#define PQV_NARROW_SUMS(residual, block)                                              \
  PQV_NARROW(residual, 16, 17, 18, 19) PQV_NARROW(residual, 20, 21, 22, 23)           \
  PQV_NARROW(residual, 24, 25, 26, 27) PQV_NARROW(residual, 28, 29, 30, 31)
#define PQV_NARROW_TOTAL(residual, block, offset, low, high, next_low, next_high)     \
  PQV_LOAD(block, offset, 8, 9)                                                       \
  PQV_LOAD(block, offset + 32, 10, 11)                                                \
  "add v8.4s, v8.4s, v" #low ".4s\n\t"                                                \
  "add v9.4s, v9.4s, v" #high ".4s\n\t"                                               \
  "add v10.4s, v10.4s, v" #next_low ".4s\n\t"                                         \
  "add v11.4s, v11.4s, v" #next_high ".4s\n\t"                                        \
  PQV_NARROW(residual, 8, 9, 10, 11)
#define PQV_NARROW_TOTALS(residual, block)                                            \
  PQV_NARROW_TOTAL(residual, block, 0, 16, 17, 18, 19)                                \
  PQV_NARROW_TOTAL(residual, block, 64, 20, 21, 22, 23)                               \
  PQV_NARROW_TOTAL(residual, block, 128, 24, 25, 26, 27)                              \
  PQV_NARROW_TOTAL(residual, block, 192, 28, 29, 30, 31)
// A block of output, of the left or of the right channels; where there is no place for output, its
// sums are left at `block`.
#define PQV_LEFT(bytes) "0"
#define PQV_RIGHT(bytes) #bytes
#define PQV_END(rows, store, block, side)                                             \
  "cbz %[shift], 2f\n\t"                                                                  \
  "ldp q0, q1, [%[shift], #" side(32) "]\n\t"                                         \
  "ldr q2, [%[multiplier], #" side(16) "]\n\t"                                        \
  "ldp q3, q4, [%[limits]]\n\t"                                                       \
  "cbnz %[residual_multiplier], 1f\n\t"                                                          \
  rows(PQV_NO_RESIDUAL, block)                                                        \
  "b 3f\n"                                                                            \
  "1:\n\t"                                                                            \
  "ldr q5, [%[residual_multiplier], #" side(16) "]\n\t"                               \
  rows(PQV_RESIDUAL, block)                                                           \
  "b 3f\n"                                                                            \
  "2:\n\t"                                                                            \
  PQV_ROWS(store, block)                                                              \
  "3:\n\t"
#define PQV_END_SUMS(block, side) PQV_END(PQV_NARROW_SUMS, PQV_STORE, block, side)
#define PQV_END_TOTALS(block, side) PQV_END(PQV_NARROW_TOTALS, PQV_ADD_TO, block, side)
// From the end of the left blocks to the lower right one, and from its end to the upper right one.
#define PQV_GO_RIGHT(pointer, stride)                         \
  "sub %[" #pointer "], %[" #pointer "], %[" #stride "], lsl #3\n\t"  \
  "add %[" #pointer "], %[" #pointer "], #8\n\t"
#define PQV_GO_UP(pointer, stride)                            \
  "sub %[" #pointer "], %[" #pointer "], %[" #stride "], lsl #4\n\t"
#define PQV_C11 0
#define PQV_C12 256
#define PQV_C21 512
#define PQV_C22 768

// From the factors of rows and channels, 1 to kMaxStrassenBlocks times 16 k each, to output or,
// where ends.shift is null, to `sums`. Blocks begin with the bias and, unless it is null, with
// `initial`. X = P1 + P6 waits where C12 would be, Y = X + P7 where C22 would be.
static __attribute__((noinline, unused)) void StrassenProducts(
    const uint8_t* rows, const uint8_t* panel, size_t blocks, const int32_t* bias,
    const StrassenSums* initial, const StrassenEnds& ends, StrassenSums* sums) {
  const bool has_before = blocks > kProductBlocks;
  const size_t before_bytes = has_before ? (blocks - kProductBlocks) * kBlockBytes : 0;
  const size_t product_bytes =
      has_before ? kProductBlocks * kBlockBytes + kCallBytes : blocks * kBlockBytes;
  size_t product, before, back;
  int8_t* y = ends.y;
  const int8_t* residual = ends.residual;
  __asm__ volatile(
      PQV_DEFINE_PRODUCT
      PQV_BEGIN_LEFT
      PQV_PRODUCT  // P1
      PQV_ROWS(PQV_STORE, PQV_C12)
      PQV_BEGIN_BLOCK(PQV_C11)
      PQV_PRODUCT  // P2
      PQV_END_SUMS(PQV_C11, PQV_LEFT)
      PQV_ROWS(PQV_LOAD, PQV_C12)
      PQV_PRODUCT  // P6
      PQV_WAIT(PQV_C12)
      PQV_PRODUCT  // P7
      PQV_WAIT(PQV_C22)
      PQV_BEGIN_BLOCK(PQV_C21)
      PQV_PRODUCT  // -P4
      PQV_END_SUMS(PQV_C21, PQV_LEFT)
      PQV_GO_RIGHT(y, y_stride)
      PQV_GO_RIGHT(residual, residual_stride)
      PQV_BEGIN_DIFFERENCE
      PQV_PRODUCT  // P5
      PQV_END_TOTALS(PQV_C22, PQV_RIGHT)
      PQV_GO_UP(y, y_stride)
      PQV_GO_UP(residual, residual_stride)
      PQV_PRODUCT  // P3
      PQV_END_TOTALS(PQV_C12, PQV_RIGHT)
      : [rows] "+&r"(rows), [panel] "+&r"(panel), [product] "=&r"(product),
        [before] "=&r"(before), [back] "=&r"(back), [y] "+&r"(y), [residual] "+&r"(residual)
      : [product_bytes] "r"(product_bytes), [before_bytes] "r"(before_bytes), [bias] "r"(bias),
        [initial] "r"(initial), [sums] "r"(sums),
        [shift] "r"(ends.shift), [multiplier] "r"(ends.multiplier), [limits] "r"(ends.limits), [y_stride] "r"(ends.y_stride),
        [residual_multiplier] "r"(ends.residual_multiplier),
        [residual_stride] "r"(ends.residual_stride), [fraction] "i"(kFractionBits)
      : "cc", "memory", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
        "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",
        "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}
// clang-format on

#undef PQV_DOT
#undef PQV_DOT_UPPER
#undef PQV_DOT_LOWER
#undef PQV_BLOCK
#undef PQV_LANDING
#undef PQV_SIX_BLOCKS
#undef PQV_DEFINE_PRODUCT
#undef PQV_PRODUCT
#undef PQV_COPY
#undef PQV_COPY_ROW
#undef PQV_BEGIN_LEFT
#undef PQV_BEGIN_DIFFERENCE
#undef PQV_ROWS
#undef PQV_STORE
#undef PQV_LOAD
#undef PQV_LOAD_INITIAL
#undef PQV_ADD_INITIAL
#undef PQV_STORE_WITH_INITIAL
#undef PQV_BEGIN_BLOCK
#undef PQV_WAIT
#undef PQV_ADD_TO
#undef PQV_NARROW
#undef PQV_NO_RESIDUAL
#undef PQV_RESIDUAL
#undef PQV_NARROW_SUMS
#undef PQV_NARROW_TOTAL
#undef PQV_NARROW_TOTALS
#undef PQV_LEFT
#undef PQV_RIGHT
#undef PQV_END
#undef PQV_END_SUMS
#undef PQV_END_TOTALS
#undef PQV_GO_RIGHT
#undef PQV_GO_UP
#undef PQV_C11
#undef PQV_C12
#undef PQV_C21
#undef PQV_C22

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_STRASSEN_DOTPROD_H_
