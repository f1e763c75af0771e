// A tile of 12 rows by 32 channels with VPDPBUSD: its products, those of Strassen's product one
// after the other (gemm/strassen.h), and the output of their sums. In assembly: of 24 sums gcc 12
// keeps a third in memory from product to product, and fills what is between them with moves.

#ifndef PQV_KERNELS_PACKED_MATMUL_ASSEMBLY_TILE_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_ASSEMBLY_TILE_AVX512VNNI_H_

#include <stddef.h>

#include "kernels/gemm/strassen.h"
#include "kernels/packed_matmul/panels_avx512vnni.h"

namespace pqv {
namespace avx512 {

// A block of C is what the products of a tile add up to.
constexpr size_t kBlockRows = 12;
constexpr size_t kBlockChannels = 32;
constexpr size_t kBlockVectors = kBlockChannels / kLanes32;

// A tile of Strassen's product has four of them. Factors of weights, which leave L1, weigh more
// than their instructions: 24 to 64 rows are slower with them.
constexpr StrassenTile kStrassenTile = {kBlockRows, kBlockChannels, 16, 64, {{90, 2, 6}}};
constexpr size_t kFastRows = 2 * kBlockRows;
constexpr size_t kFastChannels = 2 * kBlockChannels;
enum FastSums { kC11, kC12, kC21, kC22, kFastSums };

// What all rows of the output have in common.
struct alignas(64) OutputConstants {
  int16_t round[32];  // the factor of Round6
  int8_t low[64];
  int8_t high[64];
  int32_t order[16];           // of the groups of 4 channels of two rows, from what packs leave
  int32_t residual_order[16];  // of those of a residual's row, to what packs leave
};

// Where output goes and comes from, of the blocks of C in the order of FastSums.
struct OutputRows {
  int8_t* y[4];
  size_t y_stride;
  const int8_t* residual[4];
  size_t residual_stride;
};

// What the products read and write beside the factors.
struct alignas(64) AssemblyTile {
  int32_t saved[2][24][16];  // P1, then P1 + P6; P1 + P6 + P7
  int32_t sums[24][64];      // where they are wanted
  // Where output is wanted of sums that fit when they are shifted to the left:
  int32_t bias[4][2][16];
  // To the left, then to the right; the first to the right where all are.
  int32_t shift[2][2][2][16];
  int16_t multiplier[2][32];
  int16_t residual_multiplier[2][32];
  OutputConstants output;
  OutputRows rows;
  size_t groups;
  NextWeights next;
};

// The assembly has these as numbers: each as an operand would be more than gcc takes.
static_assert(offsetof(OutputConstants, low) == 64 && offsetof(OutputConstants, high) == 128 &&
                  offsetof(OutputConstants, order) == 192 &&
                  offsetof(OutputConstants, residual_order) == 256,
              "vectors of PQV_AT(output, ...)");
static_assert(offsetof(OutputRows, y_stride) == 32 && offsetof(OutputRows, residual) == 40 &&
                  offsetof(OutputRows, residual_stride) == 72,
              "bytes behind rows");

// The order of groups of 4 channels, of two rows behind the packs that made bytes of their sums.
static PQV_INLINE __m512i ToMemoryOrder(TileOrder<kBlockVectors>) {
  return _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
}
static PQV_INLINE __m512i ToMemoryOrder(NaturalOrder<kBlockVectors>) {
  return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

// That of a row of a residual before it is widened, to meet sums in natural order.
static PQV_INLINE __m512i ToPackedOrder() {
  return _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0);
}

// What all output has in common.
template <typename Order>
static inline void SetOutput(const PackedMatMul& op, const PackedMatMulBlock& block,
                             AssemblyTile* tile) {
  const Limits limits = MakeLimits(op.y_bits);
  OutputConstants* const output = &tile->output;
  _mm512_store_si512(output->round, _mm512_set1_epi16(kRound6));
  _mm512_store_si512(output->low, limits.low);
  _mm512_store_si512(output->high, limits.high);
  _mm512_store_si512(output->order, ToMemoryOrder(Order()));
  _mm512_store_si512(output->residual_order, ToPackedOrder());
  tile->rows.y_stride = block.y_stride;
  tile->rows.residual_stride = block.residual_stride;
}

// What that of the 32 channels from n on has, the `j`th of a tile.
template <typename Order>
static inline void SetChannels(const PackedMatMul& op, size_t n, Shifts shifts, size_t j,
                               AssemblyTile* tile) {
  const ChannelRequantizer& r = op.requantizer;
  __m512i first[kBlockVectors], second[kBlockVectors], multiplier[1];
  Order::Load32((shifts == Shifts::kRight ? r.right_shift : r.left_shift) + n, first);
  Order::Load32(r.right_shift + n, second);
  for (size_t v = 0; v < kBlockVectors; ++v) {
    _mm512_store_si512(tile->shift[0][j][v], first[v]);
    _mm512_store_si512(tile->shift[1][j][v], second[v]);
  }
  Order::Load16(r.multiplier + n, multiplier);
  _mm512_store_si512(tile->multiplier[j], multiplier[0]);
  if (op.residual_multiplier == nullptr) return;
  Order::Load16(op.residual_multiplier + n, multiplier);
  _mm512_store_si512(tile->residual_multiplier[j], multiplier[0]);
}

// clang-format off
// The 24 sums of a block are zmm0 .. zmm23, two of a row side by side.
#define PQV_EACH_ROW(do)                                                                      \
  do(0, 0, 1) do(1, 2, 3) do(2, 4, 5) do(3, 6, 7) do(4, 8, 9) do(5, 10, 11)                   \
  do(6, 12, 13) do(7, 14, 15) do(8, 16, 17) do(9, 18, 19) do(10, 20, 21) do(11, 22, 23)
#define PQV_EACH_TWO_ROWS(do, ...)                                                            \
  do(0, 1, 2, 3, __VA_ARGS__) do(4, 5, 6, 7, __VA_ARGS__) do(8, 9, 10, 11, __VA_ARGS__)       \
  do(12, 13, 14, 15, __VA_ARGS__) do(16, 17, 18, 19, __VA_ARGS__)                             \
  do(20, 21, 22, 23, __VA_ARGS__)
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
#define PQV_BEGIN(row, i, j) \
  "vmovdqa64 %%zmm24, %%zmm" #i "\n\t" \
  "vmovdqa64 %%zmm25, %%zmm" #j "\n\t"

// What becomes of the sums of a row, here in zmm`x` and zmm`y`.
#define PQV_ADD_BIAS(i, j, x, y) \
  "vpaddd %%zmm24, %%zmm" #i ", %%zmm" #x "\n\t" \
  "vpaddd %%zmm25, %%zmm" #j ", %%zmm" #y "\n\t"
// C22, and what C12 begins with.
#define PQV_FORK(i, j, x, y) \
  "vpaddd " PQV_AT(saved, (24 + i)) ", %%zmm" #i ", %%zmm" #x "\n\t" \
  "vpaddd " PQV_AT(saved, (24 + j)) ", %%zmm" #j ", %%zmm" #y "\n\t" \
  "vpaddd " PQV_AT(saved, i) ", %%zmm" #i ", %%zmm" #i "\n\t" \
  "vpaddd " PQV_AT(saved, j) ", %%zmm" #j ", %%zmm" #j "\n\t"
#define PQV_STORE_11(row, i, j) PQV_WRITE(i, j, sums, (4 * row), (4 * row + 1))
#define PQV_STORE_12(row, i, j) PQV_WRITE(i, j, sums, (4 * row + 2), (4 * row + 3))
#define PQV_STORE_21(row, i, j) PQV_WRITE(i, j, sums, (4 * (12 + row)), (4 * (12 + row) + 1))
#define PQV_STORE_22(row, i, j) \
  PQV_FORK(i, j, 29, 30) PQV_WRITE(29, 30, sums, (4 * (12 + row) + 2), (4 * (12 + row) + 3))

#define PQV_SHIFT_BY(instruction, i, j, x, y) \
  instruction " %%zmm26, %%zmm" #i ", %%zmm" #x "\n\t" \
  instruction " %%zmm27, %%zmm" #j ", %%zmm" #y "\n\t"
#define PQV_SHIFT_LEFT(channels, i, j, x, y) PQV_SHIFT_BY("vpsllvd", i, j, x, y)
#define PQV_SHIFT_RIGHT(channels, i, j, x, y) PQV_SHIFT_BY("vpsravd", i, j, x, y)
#define PQV_SHIFT_BOTH(channels, i, j, x, y) \
  PQV_SHIFT_LEFT(channels, i, j, x, y) \
  "vpsravd " PQV_AT(shift, (2 * channels + 4)) ", %%zmm" #x ", %%zmm" #x "\n\t" \
  "vpsravd " PQV_AT(shift, (2 * channels + 5)) ", %%zmm" #y ", %%zmm" #y "\n\t"

// Words of a row in zmm`x`, of its sums once they are shifted.
#define PQV_WORDS(x, y) \
  "vpackssdw %%zmm" #y ", %%zmm" #x ", %%zmm" #x "\n\t" \
  "vpmulhrsw %%zmm28, %%zmm" #x ", %%zmm" #x "\n\t"
#define PQV_NO_RESIDUAL(channels, x)
#define PQV_RESIDUAL(load, channels, x) \
  load \
  "vpsllw $8, %%zmm31, %%zmm31\n\t" \
  "vpmulhrsw " PQV_AT(residual_multiplier, channels) ", %%zmm31, %%zmm31\n\t" \
  "vpaddsw %%zmm31, %%zmm" #x ", %%zmm" #x "\n\t" \
  "add 72+%c[rows](%[tile]), %[residual]\n\t"
#define PQV_RESIDUAL_IN_PLACE(channels, x) \
  PQV_RESIDUAL("vpmovsxbw (%[residual]), %%zmm31\n\t", channels, x)
#define PQV_RESIDUAL_ORDERED(channels, x) \
  PQV_RESIDUAL("vmovdqa32 " PQV_AT(output, 4) ", %%ymm31\n\t" \
               "vpermd (%[residual]), %%ymm31, %%ymm31\n\t" \
               "vpmovsxbw %%ymm31, %%zmm31\n\t", channels, x)
// Two rows from words in zmm29 and zmm30.
#define PQV_STORE_TWO \
  "vpmulhrsw " PQV_AT(output, 0) ", %%zmm29, %%zmm29\n\t" \
  "vpmulhrsw " PQV_AT(output, 0) ", %%zmm30, %%zmm30\n\t" \
  "vmovdqa64 " PQV_AT(output, 3) ", %%zmm31\n\t" \
  "vpacksswb %%zmm30, %%zmm29, %%zmm29\n\t" \
  "vpmaxsb " PQV_AT(output, 1) ", %%zmm29, %%zmm29\n\t" \
  "vpminsb " PQV_AT(output, 2) ", %%zmm29, %%zmm29\n\t" \
  "vpermd %%zmm29, %%zmm31, %%zmm29\n\t" \
  "vmovdqu8 %%ymm29, (%[count])\n\t" \
  "add 32+%c[rows](%[tile]), %[count]\n\t" \
  "vextracti64x4 $1, %%zmm29, (%[count])\n\t" \
  "add 32+%c[rows](%[tile]), %[count]\n\t"

// What all rows of a block of C have; %[count] is where the output of a row goes. `block` of FastSums, `channels` 0 or 1.
#define PQV_BEGIN_OUTPUT(block, channels) \
  "vmovdqa64 " PQV_AT(shift, (2 * channels)) ", %%zmm26\n\t" \
  "vmovdqa64 " PQV_AT(shift, (2 * channels + 1)) ", %%zmm27\n\t" \
  "vmovdqa64 " PQV_AT(multiplier, channels) ", %%zmm28\n\t" \
  "mov 8*" #block "+%c[rows](%[tile]), %[count]\n\t" \
  "mov 40+8*" #block "+%c[rows](%[tile]), %[residual]\n\t"
#define PQV_LOAD_BIAS(block) \
  "vmovdqa64 " PQV_AT(bias, (2 * block)) ", %%zmm24\n\t" \
  "vmovdqa64 " PQV_AT(bias, (2 * block + 1)) ", %%zmm25\n\t"

// Two rows of output: `sum` is how sums get to zmm29 .. zmm31, `shift` how they are shifted, `add`
// what is added to them.
#define PQV_TWO_ROWS(sum, channels, i, j, k, l, shift, add) \
  sum(i, j, 29, 30) shift(channels, 29, 30, 29, 30) PQV_WORDS(29, 30) add(channels, 29) \
  sum(k, l, 30, 31) shift(channels, 30, 31, 30, 31) PQV_WORDS(30, 31) add(channels, 30) \
  PQV_STORE_TWO
#define PQV_FORK_AND_ADD(i, j, x, y) PQV_FORK(i, j, x, y) PQV_ADD_BIAS(x, y, x, y)
#define PQV_OUTPUT_1(i, j, k, l, shift, add) \
  PQV_TWO_ROWS(PQV_ADD_BIAS, 0, i, j, k, l, shift, add)
#define PQV_OUTPUT_2(i, j, k, l, shift, add) \
  PQV_TWO_ROWS(PQV_ADD_BIAS, 1, i, j, k, l, shift, add)
#define PQV_OUTPUT_22(i, j, k, l, shift, add) \
  PQV_TWO_ROWS(PQV_FORK_AND_ADD, 1, i, j, k, l, shift, add)
// The same of sums that began with the bias.
#define PQV_OUTPUT(i, j, k, l, shift, add) \
  shift(0, i, j, 29, 30) PQV_WORDS(29, 30) add(0, 29) \
  shift(0, k, l, 30, 31) PQV_WORDS(30, 31) add(0, 30) \
  PQV_STORE_TWO

// The weights of a step in zmm24 and zmm25: where they were written as steps, or side by side in
// four panels of the file.
#define PQV_STEP \
  "vmovdqa64 (%[b]), %%zmm24\n\t" \
  "vmovdqa64 64(%[b]), %%zmm25\n\t" \
  "sub $-128, %[b]\n\t"
#define PQV_FILE_STEP \
  "vmovdqu8 (%[b]), %%ymm24\n\t" \
  "vmovdqu8 (%[b],%[b_stride],2), %%ymm25\n\t" \
  "lea (%[b],%[b_stride],2), %[residual]\n\t" \
  "vinserti64x4 $1, (%[b],%[b_stride]), %%zmm24, %%zmm24\n\t" \
  "vinserti64x4 $1, (%[residual],%[b_stride]), %%zmm25, %%zmm25\n\t" \
  "add $32, %[b]\n\t"
#define PQV_ROW(address, x, first, second) \
  "vpbroadcastd " address ", %%zmm" #x "\n\t" \
  "vpdpbusd %%zmm24, %%zmm" #x ", %%zmm" #first "\n\t" \
  "vpdpbusd %%zmm25, %%zmm" #x ", %%zmm" #second "\n\t"
// Adds the product of the next factors, which lie behind these.
#define PQV_MULTIPLY(step) \
  "mov %c[groups](%[tile]), %[count]\n" \
  "1:\n\t" \
  "prefetcht0 (%[next])\n\t" \
  "add %c[next_step](%[tile]), %[next]\n\t" \
  step \
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
  "dec %[count]\n\t" \
  "jnz 1b\n\t" \
  "add %[stride11], %[a]\n\t"
#define PQV_PRODUCT PQV_MULTIPLY(PQV_STEP)

#define PQV_STRASSEN(end_11, end_21, end_22, end_12) \
  PQV_EACH_ROW(PQV_ZERO) \
  PQV_PRODUCT /* P1 */ \
  PQV_EACH_ROW(PQV_SAVE) \
  PQV_PRODUCT /* P2 */ \
  end_11 \
  PQV_EACH_ROW(PQV_RESTORE) \
  PQV_PRODUCT /* P6 */ \
  PQV_EACH_ROW(PQV_SAVE) \
  PQV_PRODUCT /* P7 */ \
  PQV_EACH_ROW(PQV_SAVE_7) \
  PQV_PRODUCT /* -P4 */ \
  end_21 \
  PQV_EACH_ROW(PQV_ZERO) \
  PQV_PRODUCT /* P5 */ \
  end_22 \
  PQV_PRODUCT /* P3 */ \
  end_12
#define PQV_STRASSEN_OUTPUT(...) PQV_STRASSEN( \
    PQV_BEGIN_OUTPUT(0, 0) PQV_LOAD_BIAS(0) PQV_EACH_TWO_ROWS(PQV_OUTPUT_1, __VA_ARGS__), \
    PQV_BEGIN_OUTPUT(2, 0) PQV_LOAD_BIAS(2) PQV_EACH_TWO_ROWS(PQV_OUTPUT_1, __VA_ARGS__), \
    PQV_BEGIN_OUTPUT(3, 1) PQV_LOAD_BIAS(3) PQV_EACH_TWO_ROWS(PQV_OUTPUT_22, __VA_ARGS__), \
    PQV_BEGIN_OUTPUT(1, 1) PQV_LOAD_BIAS(1) PQV_EACH_TWO_ROWS(PQV_OUTPUT_2, __VA_ARGS__))
#define PQV_DIRECT_OUTPUT(step, ...) \
  PQV_LOAD_BIAS(0) PQV_EACH_ROW(PQV_BEGIN) \
  PQV_MULTIPLY(step) \
  PQV_BEGIN_OUTPUT(0, 0) PQV_EACH_TWO_ROWS(PQV_OUTPUT, __VA_ARGS__)

#define PQV_RUN(code) \
  size_t count; \
  size_t residual; \
  const uint8_t* next = tile->next.line; \
  __asm__ volatile( \
      code \
      : [a] "+&r"(a), [b] "+&r"(b), [count] "=&r"(count), [residual] "=&r"(residual), \
        [next] "+&r"(next) \
      : [tile] "r"(tile), [stride] "r"(stride), [stride3] "r"(3 * stride), \
        [stride5] "r"(5 * stride), [stride7] "r"(7 * stride), [stride9] "r"(9 * stride), \
        [stride11] "r"(11 * stride), [b_stride] "r"(b_stride), \
        [saved] "i"(offsetof(AssemblyTile, saved)), [sums] "i"(offsetof(AssemblyTile, sums)), \
        [bias] "i"(offsetof(AssemblyTile, bias)), [shift] "i"(offsetof(AssemblyTile, shift)), \
        [multiplier] "i"(offsetof(AssemblyTile, multiplier)), \
        [residual_multiplier] "i"(offsetof(AssemblyTile, residual_multiplier)), \
        [output] "i"(offsetof(AssemblyTile, output)), [rows] "i"(offsetof(AssemblyTile, rows)), \
        [groups] "i"(offsetof(AssemblyTile, groups)), \
        [next_step] "i"(offsetof(AssemblyTile, next) + offsetof(NextWeights, step)) \
      : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
        "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", \
        "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
        "xmm28", "xmm29", "xmm30", "xmm31"); \
  tile->next.line = next
// clang-format on

// 24 rows by 64 channels of Strassen's product. `a` are the factors of the rows and a pass, `b`
// those of the channels, one after the other, each [12, half of K] and [half of K / 4] steps.
#define PQV_STRASSEN_FUNCTION(name, code)                                        \
  static __attribute__((noinline)) void name(const uint8_t* a, const uint8_t* b, \
                                             AssemblyTile* tile) {               \
    const size_t stride = kGroup * tile->groups;                                 \
    const size_t b_stride = 0;                                                   \
    PQV_RUN(code);                                                               \
  }
// 12 rows by 32 channels. `b` are steps, or panels of the file b_stride bytes apart.
#define PQV_DIRECT_FUNCTION(name, code)                                                         \
  static __attribute__((noinline)) void name(const uint8_t* a, size_t stride, const uint8_t* b, \
                                             size_t b_stride, AssemblyTile* tile) {             \
    PQV_RUN(code);                                                                              \
  }

PQV_STRASSEN_FUNCTION(FindFastSums,
                      PQV_STRASSEN(PQV_EACH_ROW(PQV_STORE_11), PQV_EACH_ROW(PQV_STORE_21),
                                   PQV_EACH_ROW(PQV_STORE_22), PQV_EACH_ROW(PQV_STORE_12)))

PQV_STRASSEN_FUNCTION(FastLeft, PQV_STRASSEN_OUTPUT(PQV_SHIFT_LEFT, PQV_NO_RESIDUAL))
PQV_DIRECT_FUNCTION(StepsLeft, PQV_DIRECT_OUTPUT(PQV_STEP, PQV_SHIFT_LEFT, PQV_NO_RESIDUAL))
PQV_DIRECT_FUNCTION(StepsRight, PQV_DIRECT_OUTPUT(PQV_STEP, PQV_SHIFT_RIGHT, PQV_NO_RESIDUAL))
PQV_DIRECT_FUNCTION(FileRight, PQV_DIRECT_OUTPUT(PQV_FILE_STEP, PQV_SHIFT_RIGHT, PQV_NO_RESIDUAL))
PQV_STRASSEN_FUNCTION(FastBoth, PQV_STRASSEN_OUTPUT(PQV_SHIFT_BOTH, PQV_NO_RESIDUAL))
PQV_DIRECT_FUNCTION(StepsBoth, PQV_DIRECT_OUTPUT(PQV_STEP, PQV_SHIFT_BOTH, PQV_NO_RESIDUAL))
PQV_DIRECT_FUNCTION(StepsBothAdd, PQV_DIRECT_OUTPUT(PQV_STEP, PQV_SHIFT_BOTH, PQV_RESIDUAL_ORDERED))
PQV_DIRECT_FUNCTION(StepsRightAdd,
                    PQV_DIRECT_OUTPUT(PQV_STEP, PQV_SHIFT_RIGHT, PQV_RESIDUAL_ORDERED))
PQV_DIRECT_FUNCTION(FileRightAdd,
                    PQV_DIRECT_OUTPUT(PQV_FILE_STEP, PQV_SHIFT_RIGHT, PQV_RESIDUAL_ORDERED))
PQV_DIRECT_FUNCTION(StepsLeftAdd, PQV_DIRECT_OUTPUT(PQV_STEP, PQV_SHIFT_LEFT, PQV_RESIDUAL_ORDERED))
PQV_STRASSEN_FUNCTION(FastLeftAdd, PQV_STRASSEN_OUTPUT(PQV_SHIFT_LEFT, PQV_RESIDUAL_IN_PLACE))
PQV_STRASSEN_FUNCTION(FastBothAdd, PQV_STRASSEN_OUTPUT(PQV_SHIFT_BOTH, PQV_RESIDUAL_IN_PLACE))

using FastOutput = void (*)(const uint8_t* a, const uint8_t* b, AssemblyTile* tile);
using DirectOutput = void (*)(const uint8_t* a, size_t stride, const uint8_t* b, size_t b_stride,
                              AssemblyTile* tile);
// The functions that output sums, of Strassen's product (Fast), of steps and of panels of the file,
// [Shifts][whether there is a residual]. Those of codes of 4 bits are mostly shifted to the left.
constexpr FastOutput kFastOutput[kShifts][2] = {
    {FastLeft, FastLeftAdd}, {FastBoth, FastBothAdd}, {FastBoth, FastBothAdd}};
constexpr DirectOutput kStepsOutput[kShifts][2] = {
    {StepsLeft, StepsLeftAdd}, {StepsRight, StepsRightAdd}, {StepsBoth, StepsBothAdd}};
// Of int8, whose sums are hardly ever shifted to the left.
constexpr DirectOutput kFileOutput[kShifts][2] = {{}, {FileRight, FileRightAdd}, {}};

#undef PQV_ADD_BIAS
#undef PQV_AT
#undef PQV_BEGIN
#undef PQV_BEGIN_OUTPUT
#undef PQV_DIRECT_FUNCTION
#undef PQV_DIRECT_OUTPUT
#undef PQV_EACH_ROW
#undef PQV_EACH_TWO_ROWS
#undef PQV_FILE_STEP
#undef PQV_FORK
#undef PQV_FORK_AND_ADD
#undef PQV_LOAD_BIAS
#undef PQV_MULTIPLY
#undef PQV_NO_RESIDUAL
#undef PQV_OUTPUT
#undef PQV_OUTPUT_1
#undef PQV_OUTPUT_2
#undef PQV_OUTPUT_22
#undef PQV_PRODUCT
#undef PQV_RESIDUAL
#undef PQV_RESIDUAL_IN_PLACE
#undef PQV_RESIDUAL_ORDERED
#undef PQV_RESTORE
#undef PQV_ROW
#undef PQV_RUN
#undef PQV_SAVE
#undef PQV_SAVE_7
#undef PQV_SHIFT_BOTH
#undef PQV_SHIFT_BY
#undef PQV_SHIFT_LEFT
#undef PQV_SHIFT_RIGHT
#undef PQV_STEP
#undef PQV_STORE_11
#undef PQV_STORE_12
#undef PQV_STORE_21
#undef PQV_STORE_22
#undef PQV_STORE_TWO
#undef PQV_STRASSEN
#undef PQV_STRASSEN_FUNCTION
#undef PQV_STRASSEN_OUTPUT
#undef PQV_TWO_ROWS
#undef PQV_WORDS
#undef PQV_WRITE
#undef PQV_ZERO

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_ASSEMBLY_TILE_AVX512VNNI_H_
