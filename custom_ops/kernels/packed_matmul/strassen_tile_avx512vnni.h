// A tile of Strassen's product with VPDPBUSD: the seven products of its factors, 12 rows by 32
// channels each, and what becomes of their sums. In assembly: of 24 sums from product to product
// gcc 12 keeps a third in memory.

#ifndef PQV_KERNELS_PACKED_MATMUL_STRASSEN_TILE_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_STRASSEN_TILE_AVX512VNNI_H_

#include <stddef.h>

#include "kernels/gemm/strassen.h"
#include "kernels/packed_matmul/panels_avx512vnni.h"

namespace pqv {
namespace avx512 {

constexpr StrassenTile kStrassenTile = {12, 32, 16, 64, 90};
constexpr size_t kFastRows = 2 * kStrassenTile.rows;
constexpr size_t kFastChannels = 2 * kStrassenTile.channels;
constexpr size_t kFastVectors = kStrassenTile.channels / kLanes32;

// Kinds of sums: of the four blocks of a tile, and of the two blocks of channels of rows that are
// multiplied directly.
enum FastSums { kC11, kC12, kC21, kC22, kRest1, kRest2, kFastSums };

// What the products read and write beside the factors. Arrays of the blocks of C are in the
// order of FastSums.
struct alignas(64) FastTile {
  int32_t saved[2][24][16];  // P1, then P1 + P6; P1 + P6 + P7
  int32_t sums[24][64];      // where they are wanted
  // Where output is wanted of sums that fit when they are shifted to the left:
  int32_t bias[4][2][16];
  int32_t shift[2][2][2][16];  // to the left, then to the right
  int16_t multiplier[2][32];
  int16_t residual_multiplier[2][32];
  int16_t round[32];  // the factor of Round6
  int8_t low[64];
  int8_t high[64];
  int8_t* y[4];
  size_t y_stride;
  const int8_t* residual[4];
  size_t residual_stride;
  size_t groups;
  NextWeights next;
};

// clang-format off
// The 24 sums of a block are zmm0 .. zmm23, two of a row side by side.
#define PQV_EACH_ROW(do)                                                                      \
  do(0, 0, 1) do(1, 2, 3) do(2, 4, 5) do(3, 6, 7) do(4, 8, 9) do(5, 10, 11)                   \
  do(6, 12, 13) do(7, 14, 15) do(8, 16, 17) do(9, 18, 19) do(10, 20, 21) do(11, 22, 23)
// A vector of an array of the tile.
#define PQV_AT(array, index) #index "*64+%c[" #array "](%[tile])"

#define PQV_ZERO(row, i, j) \
  "vpxord %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t" \
  "vpxord %%zmm" #j ", %%zmm" #j ", %%zmm" #j "\n\t"
#define PQV_WRITE(i, j, array, first, second) \
  "vmovdqa64 %%zmm" #i ", " PQV_AT(array, first) "\n\t" \
  "vmovdqa64 %%zmm" #j ", " PQV_AT(array, second) "\n\t"
#define PQV_SAVE(row, i, j) PQV_WRITE(i, j, saved, i, j)
#define PQV_SAVE_7(row, i, j) PQV_WRITE(i, j, saved, (24 + i), (24 + j))
#define PQV_RESTORE(row, i, j) \
  "vmovdqa64 " PQV_AT(saved, i) ", %%zmm" #i "\n\t" \
  "vmovdqa64 " PQV_AT(saved, j) ", %%zmm" #j "\n\t"

// Ends a row of a block: what it does with zmm29 and zmm30.
#define PQV_COPY(i, j) \
  "vmovdqa64 %%zmm" #i ", %%zmm29\n\t" \
  "vmovdqa64 %%zmm" #j ", %%zmm30\n\t"
// C22, and what C12 begins with.
#define PQV_FORK(i, j) \
  "vpaddd " PQV_AT(saved, (24 + i)) ", %%zmm" #i ", %%zmm29\n\t" \
  "vpaddd " PQV_AT(saved, (24 + j)) ", %%zmm" #j ", %%zmm30\n\t" \
  "vpaddd " PQV_AT(saved, i) ", %%zmm" #i ", %%zmm" #i "\n\t" \
  "vpaddd " PQV_AT(saved, j) ", %%zmm" #j ", %%zmm" #j "\n\t"
#define PQV_STORE_11(row, i, j) PQV_WRITE(i, j, sums, (4 * row), (4 * row + 1))
#define PQV_STORE_12(row, i, j) PQV_WRITE(i, j, sums, (4 * row + 2), (4 * row + 3))
#define PQV_STORE_21(row, i, j) PQV_WRITE(i, j, sums, (4 * (12 + row)), (4 * (12 + row) + 1))
#define PQV_STORE_22(row, i, j) \
  PQV_FORK(i, j) PQV_WRITE(29, 30, sums, (4 * (12 + row) + 2), (4 * (12 + row) + 3))

// What all rows of a block of C have: `block` of FastSums, `channels` 0 or 1.
#define PQV_BEGIN_OUTPUT(block, channels) \
  "vmovdqa64 " PQV_AT(bias, (2 * block)) ", %%zmm24\n\t" \
  "vmovdqa64 " PQV_AT(bias, (2 * block + 1)) ", %%zmm25\n\t" \
  "vmovdqa64 " PQV_AT(shift, (2 * channels)) ", %%zmm26\n\t" \
  "vmovdqa64 " PQV_AT(shift, (2 * channels + 1)) ", %%zmm27\n\t" \
  "vmovdqa64 " PQV_AT(multiplier, channels) ", %%zmm28\n\t" \
  "mov 8*" #block "+%c[y](%[tile]), %[count]\n\t" \
  "mov 8*" #block "+%c[residual](%[tile]), %[rows]\n\t"
#define PQV_MULTIPLIED(channels) \
  "vpaddd %%zmm24, %%zmm29, %%zmm29\n\t" \
  "vpaddd %%zmm25, %%zmm30, %%zmm30\n\t" \
  "vpsllvd %%zmm26, %%zmm29, %%zmm29\n\t" \
  "vpsllvd %%zmm27, %%zmm30, %%zmm30\n\t" \
  PQV_SHIFT_RIGHT(channels) \
  "vpackssdw %%zmm30, %%zmm29, %%zmm29\n\t" \
  "vpmulhrsw %%zmm28, %%zmm29, %%zmm29\n\t"
#define PQV_RESIDUAL(channels) \
  "vpmovsxbw (%[rows]), %%zmm31\n\t" \
  "vpsllw $8, %%zmm31, %%zmm31\n\t" \
  "vpmulhrsw " PQV_AT(residual_multiplier, channels) ", %%zmm31, %%zmm31\n\t" \
  "vpaddsw %%zmm31, %%zmm29, %%zmm29\n\t" \
  "add %c[residual_stride](%[tile]), %[rows]\n\t"
#define PQV_NARROWED \
  "vpmulhrsw " PQV_AT(round, 0) ", %%zmm29, %%zmm29\n\t" \
  "vpmovswb %%zmm29, %%ymm29\n\t" \
  "vpmaxsb " PQV_AT(low, 0) ", %%ymm29, %%ymm29\n\t" \
  "vpminsb " PQV_AT(high, 0) ", %%ymm29, %%ymm29\n\t" \
  "vmovdqu8 %%ymm29, (%[count])\n\t" \
  "add %c[y_stride](%[tile]), %[count]\n\t"
#define PQV_OUTPUT_1(row, i, j) PQV_COPY(i, j) PQV_MULTIPLIED(0) PQV_NARROWED
#define PQV_OUTPUT_2(row, i, j) PQV_COPY(i, j) PQV_MULTIPLIED(1) PQV_NARROWED
#define PQV_OUTPUT_22(row, i, j) PQV_FORK(i, j) PQV_MULTIPLIED(1) PQV_NARROWED
#define PQV_ADDED_1(row, i, j) PQV_COPY(i, j) PQV_MULTIPLIED(0) PQV_RESIDUAL(0) PQV_NARROWED
#define PQV_ADDED_2(row, i, j) PQV_COPY(i, j) PQV_MULTIPLIED(1) PQV_RESIDUAL(1) PQV_NARROWED
#define PQV_ADDED_22(row, i, j) PQV_FORK(i, j) PQV_MULTIPLIED(1) PQV_RESIDUAL(1) PQV_NARROWED

#define PQV_ROW(address, x, first, second) \
  "vpbroadcastd " address ", %%zmm" #x "\n\t" \
  "vpdpbusd %%zmm24, %%zmm" #x ", %%zmm" #first "\n\t" \
  "vpdpbusd %%zmm25, %%zmm" #x ", %%zmm" #second "\n\t"
// Adds the product of the next factors, which lie behind these.
#define PQV_MULTIPLY \
  "mov %c[groups](%[tile]), %[count]\n" \
  "1:\n\t" \
  "prefetcht0 (%[next])\n\t" \
  "add %c[next_step](%[tile]), %[next]\n\t" \
  "vmovdqa64 (%[b]), %%zmm24\n\t" \
  "vmovdqa64 64(%[b]), %%zmm25\n\t" \
  PQV_ROW("(%[a])", 26, 0, 1) \
  PQV_ROW("(%[a],%[stride])", 27, 2, 3) \
  PQV_ROW("(%[a],%[stride],2)", 26, 4, 5) \
  PQV_ROW("(%[a],%[stride3])", 27, 6, 7) \
  PQV_ROW("(%[a],%[stride],4)", 26, 8, 9) \
  PQV_ROW("(%[a],%[stride5])", 27, 10, 11) \
  PQV_ROW("(%[a],%[stride3],2)", 26, 12, 13) \
  PQV_ROW("(%[a],%[stride7])", 27, 14, 15) \
  PQV_ROW("(%[a],%[stride],8)", 26, 16, 17) \
  PQV_ROW("(%[a],%[stride9])", 27, 18, 19) \
  PQV_ROW("(%[a],%[stride5],2)", 26, 20, 21) \
  PQV_ROW("(%[a],%[stride11])", 27, 22, 23) \
  "add $4, %[a]\n\t" \
  "sub $-128, %[b]\n\t" \
  "dec %[count]\n\t" \
  "jnz 1b\n\t" \
  "add %[stride11], %[a]\n\t"

#define PQV_OUTPUTS \
  PQV_BEGIN_OUTPUT(0, 0) PQV_EACH_ROW(PQV_OUTPUT_1), PQV_BEGIN_OUTPUT(2, 0) PQV_EACH_ROW(PQV_OUTPUT_1), \
      PQV_BEGIN_OUTPUT(3, 1) PQV_EACH_ROW(PQV_OUTPUT_22), PQV_BEGIN_OUTPUT(1, 1) PQV_EACH_ROW(PQV_OUTPUT_2)
#define PQV_OUTPUTS_ADDED \
  PQV_BEGIN_OUTPUT(0, 0) PQV_EACH_ROW(PQV_ADDED_1), PQV_BEGIN_OUTPUT(2, 0) PQV_EACH_ROW(PQV_ADDED_1), \
      PQV_BEGIN_OUTPUT(3, 1) PQV_EACH_ROW(PQV_ADDED_22), PQV_BEGIN_OUTPUT(1, 1) PQV_EACH_ROW(PQV_ADDED_2)

#define PQV_PRODUCTS(end_11, end_21, end_22, end_12) \
  PQV_EACH_ROW(PQV_ZERO) \
  PQV_MULTIPLY /* P1 */ \
  PQV_EACH_ROW(PQV_SAVE) \
  PQV_MULTIPLY /* P2 */ \
  end_11 \
  PQV_EACH_ROW(PQV_RESTORE) \
  PQV_MULTIPLY /* P6 */ \
  PQV_EACH_ROW(PQV_SAVE) \
  PQV_MULTIPLY /* P7 */ \
  PQV_EACH_ROW(PQV_SAVE_7) \
  PQV_MULTIPLY /* -P4 */ \
  end_21 \
  PQV_EACH_ROW(PQV_ZERO) \
  PQV_MULTIPLY /* P5 */ \
  end_22 \
  PQV_MULTIPLY /* P3 */ \
  end_12

#define PQV_RUN(...) \
  size_t count; \
  size_t rows; \
  const uint8_t* next = tile->next.line; \
  const size_t half = kGroup * tile->groups; \
  __asm__ volatile( \
      PQV_PRODUCTS(__VA_ARGS__) \
      : [a] "+r"(a), [b] "+r"(b), [count] "=&r"(count), [rows] "=&r"(rows), [next] "+r"(next) \
      : [tile] "r"(tile), [stride] "r"(half), [stride3] "r"(3 * half), [stride5] "r"(5 * half), \
        [stride7] "r"(7 * half), [stride9] "r"(9 * half), [stride11] "r"(11 * half), \
        [saved] "i"(offsetof(FastTile, saved)), [sums] "i"(offsetof(FastTile, sums)), \
        [bias] "i"(offsetof(FastTile, bias)), [shift] "i"(offsetof(FastTile, shift)), \
        [multiplier] "i"(offsetof(FastTile, multiplier)), \
        [residual_multiplier] "i"(offsetof(FastTile, residual_multiplier)), \
        [round] "i"(offsetof(FastTile, round)), [low] "i"(offsetof(FastTile, low)), \
        [high] "i"(offsetof(FastTile, high)), [y] "i"(offsetof(FastTile, y)), \
        [y_stride] "i"(offsetof(FastTile, y_stride)), \
        [residual] "i"(offsetof(FastTile, residual)), \
        [residual_stride] "i"(offsetof(FastTile, residual_stride)), \
        [groups] "i"(offsetof(FastTile, groups)), \
        [next_step] "i"(offsetof(FastTile, next) + offsetof(NextWeights, step)) \
      : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
        "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", \
        "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
        "xmm28", "xmm29", "xmm30", "xmm31"); \
  tile->next.line = next
// clang-format on

// 24 rows by 64 channels. `a` are the factors of the rows and a pass, `b` those of the channels,
// one after the other, each [12, half of K] and [half of K / 4] steps.
static __attribute__((noinline)) void FindFastSums(const uint8_t* a, const uint8_t* b,
                                                   FastTile* tile) {
  PQV_RUN(PQV_EACH_ROW(PQV_STORE_11), PQV_EACH_ROW(PQV_STORE_21), PQV_EACH_ROW(PQV_STORE_22),
          PQV_EACH_ROW(PQV_STORE_12));
}

// Without shifts to the right, 1% of a tile.
#define PQV_SHIFT_RIGHT(channels)

static __attribute__((noinline)) void FindLeftOutput(const uint8_t* a, const uint8_t* b,
                                                     FastTile* tile) {
  PQV_RUN(PQV_OUTPUTS);
}

static __attribute__((noinline)) void FindLeftOutputAdd(const uint8_t* a, const uint8_t* b,
                                                        FastTile* tile) {
  PQV_RUN(PQV_OUTPUTS_ADDED);
}

// clang-format off
#undef PQV_SHIFT_RIGHT
#define PQV_SHIFT_RIGHT(channels) \
  "vpsravd " PQV_AT(shift, (2 * channels + 4)) ", %%zmm29, %%zmm29\n\t" \
  "vpsravd " PQV_AT(shift, (2 * channels + 5)) ", %%zmm30, %%zmm30\n\t"
// clang-format on

static __attribute__((noinline)) void FindOutput(const uint8_t* a, const uint8_t* b,
                                                 FastTile* tile) {
  PQV_RUN(PQV_OUTPUTS);
}

static __attribute__((noinline)) void FindOutputAdd(const uint8_t* a, const uint8_t* b,
                                                    FastTile* tile) {
  PQV_RUN(PQV_OUTPUTS_ADDED);
}

#undef PQV_ADDED_1
#undef PQV_ADDED_2
#undef PQV_ADDED_22
#undef PQV_AT
#undef PQV_BEGIN_OUTPUT
#undef PQV_COPY
#undef PQV_EACH_ROW
#undef PQV_FORK
#undef PQV_MULTIPLIED
#undef PQV_MULTIPLY
#undef PQV_NARROWED
#undef PQV_OUTPUT_1
#undef PQV_OUTPUT_2
#undef PQV_OUTPUT_22
#undef PQV_OUTPUTS
#undef PQV_OUTPUTS_ADDED
#undef PQV_PRODUCTS
#undef PQV_RESIDUAL
#undef PQV_RESTORE
#undef PQV_ROW
#undef PQV_RUN
#undef PQV_SAVE
#undef PQV_SAVE_7
#undef PQV_SHIFT_RIGHT
#undef PQV_STORE_11
#undef PQV_STORE_12
#undef PQV_STORE_21
#undef PQV_STORE_22
#undef PQV_WRITE
#undef PQV_ZERO

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_STRASSEN_TILE_AVX512VNNI_H_
