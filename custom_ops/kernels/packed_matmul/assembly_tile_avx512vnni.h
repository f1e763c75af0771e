// A tile of 12 rows by 32 channels with VPDPBUSD: its products, direct or Winograd's
// (gemm/inner_product.h), and the output of their sums. In assembly: gcc 12 keeps the sums of the
// loop alone in registers, but moves them and constants to memory and back around it.

#ifndef PQV_KERNELS_PACKED_MATMUL_ASSEMBLY_TILE_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_ASSEMBLY_TILE_AVX512VNNI_H_

#include <stddef.h>

#include "kernels/packed_matmul/panels_avx512vnni.h"

namespace pqv {
namespace avx512 {

constexpr size_t kBlockRows = 12;
constexpr size_t kBlockChannels = 32;
constexpr size_t kBlockVectors = kBlockChannels / kLanes32;

// What all rows of the output have in common.
struct alignas(64) OutputConstants {
  int16_t round[32];  // the factor of Round6
  int8_t low[64];
  int8_t high[64];
  int32_t order[16];           // of the groups of 4 channels of two rows, from what packs leave
  int32_t residual_order[16];  // of those of a residual's row, to what packs leave
};

// Where output goes and comes from.
struct OutputRows {
  int8_t* y;
  size_t y_stride;
  const int8_t* residual;
  size_t residual_stride;
};

// What the products read beside their factors.
struct alignas(64) AssemblyTile {
  int32_t bias[2][16];  // what sums of channels begin with
  // To the left, then to the right; the first to the right where all are.
  int32_t shift[2][2][16];
  int16_t multiplier[32];
  int16_t residual_multiplier[32];
  OutputConstants output;
  OutputRows rows;
  const int32_t* of_rows;  // what sums of rows begin with; only where PQV_BEGIN_OF_ROW asks for it
  size_t steps;
  NextWeights next;
};

// The assembly has these as numbers: each as an operand would be more than gcc takes.
static_assert(offsetof(OutputConstants, low) == 64 && offsetof(OutputConstants, high) == 128 &&
                  offsetof(OutputConstants, order) == 192 &&
                  offsetof(OutputConstants, residual_order) == 256,
              "vectors of PQV_AT(output, ...)");
static_assert(offsetof(OutputRows, y_stride) == 8 && offsetof(OutputRows, residual) == 16 &&
                  offsetof(OutputRows, residual_stride) == 24,
              "bytes behind rows");

// The order of groups of 4 channels, of two rows behind the packs that made bytes of their sums.
static PQV_INLINE __m512i ToMemoryOrder() {
  return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

// That of a row of a residual before it is widened, to meet sums in natural order.
static PQV_INLINE __m512i ToPackedOrder() {
  return _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0);
}

// What all output has in common.
static inline void SetOutput(const PackedMatMul& op, const PackedMatMulBlock& block,
                             AssemblyTile* tile) {
  const Limits limits = MakeLimits(op.y_bits);
  OutputConstants* const output = &tile->output;
  _mm512_store_si512(output->round, _mm512_set1_epi16(kRound6));
  _mm512_store_si512(output->low, limits.low);
  _mm512_store_si512(output->high, limits.high);
  _mm512_store_si512(output->order, ToMemoryOrder());
  _mm512_store_si512(output->residual_order, ToPackedOrder());
  tile->rows.y_stride = block.y_stride;
  tile->rows.residual_stride = block.residual_stride;
}

// What that of the 32 channels from n on has.
static inline void SetChannels(const PackedMatMul& op, size_t n, Shifts shifts,
                               AssemblyTile* tile) {
  using Order = NaturalOrder<kBlockVectors>;
  const ChannelRequantizer& r = op.requantizer;
  const int32_t* const first = shifts == Shifts::kRight ? r.right_shift : r.left_shift;
  for (size_t v = 0; v < kBlockVectors; ++v) {
    const size_t channel = n + v * kLanes32;
    _mm512_store_si512(tile->shift[0][v], _mm512_loadu_si512(first + channel));
    _mm512_store_si512(tile->shift[1][v], _mm512_loadu_si512(r.right_shift + channel));
  }
  __m512i multiplier[1];
  Order::Load16(r.multiplier + n, multiplier);
  _mm512_store_si512(tile->multiplier, multiplier[0]);
  if (op.residual_multiplier == nullptr) return;
  Order::Load16(op.residual_multiplier + n, multiplier);
  _mm512_store_si512(tile->residual_multiplier, multiplier[0]);
}

// clang-format off
// The 24 sums are zmm0 .. zmm23, two of a row side by side.
#define PQV_EACH_ROW(do)                                                                      \
  do(0, 0, 1) do(1, 2, 3) do(2, 4, 5) do(3, 6, 7) do(4, 8, 9) do(5, 10, 11)                   \
  do(6, 12, 13) do(7, 14, 15) do(8, 16, 17) do(9, 18, 19) do(10, 20, 21) do(11, 22, 23)
#define PQV_EACH_TWO_ROWS(do, ...)                                                            \
  do(0, 1, 2, 3, __VA_ARGS__) do(4, 5, 6, 7, __VA_ARGS__) do(8, 9, 10, 11, __VA_ARGS__)       \
  do(12, 13, 14, 15, __VA_ARGS__) do(16, 17, 18, 19, __VA_ARGS__)                             \
  do(20, 21, 22, 23, __VA_ARGS__)
// The rows of `a`: what is at `offset` from where their addresses are.
#define PQV_EACH_SOURCE(do, offset) \
  do(offset "(%[a])", 0, 1) \
  do(offset "(%[a],%[stride])", 2, 3) \
  do(offset "(%[a],%[stride],2)", 4, 5) \
  do(offset "(%[a],%[stride3])", 6, 7) \
  do(offset "(%[a],%[stride],4)", 8, 9) \
  do(offset "(%[a],%[stride5])", 10, 11) \
  do(offset "(%[a],%[stride3],2)", 12, 13) \
  do(offset "(%[a],%[stride7])", 14, 15) \
  do(offset "(%[a],%[stride],8)", 16, 17) \
  do(offset "(%[a],%[stride9])", 18, 19) \
  do(offset "(%[a],%[stride5],2)", 20, 21) \
  do(offset "(%[a],%[stride11])", 22, 23)
// A vector of an array of the tile.
#define PQV_AT(array, index) #index "*64+%c[" #array "](%[tile])"

#define PQV_BEGIN(row, i, j) \
  "vmovdqa64 %%zmm24, %%zmm" #i "\n\t" \
  "vmovdqa64 %%zmm25, %%zmm" #j "\n\t"
#define PQV_BEGIN_OF_ROW(row, i, j) \
  "vpaddd 4*" #row "(%[residual])%{1to16%}, %%zmm24, %%zmm" #i "\n\t" \
  "vpaddd 4*" #row "(%[residual])%{1to16%}, %%zmm25, %%zmm" #j "\n\t"

// What becomes of the sums of a row, here in zmm`x` and zmm`y`.
#define PQV_SHIFT_BY(instruction, i, j, x, y) \
  instruction " %%zmm26, %%zmm" #i ", %%zmm" #x "\n\t" \
  instruction " %%zmm27, %%zmm" #j ", %%zmm" #y "\n\t"
#define PQV_SHIFT_LEFT(i, j, x, y) PQV_SHIFT_BY("vpsllvd", i, j, x, y)
#define PQV_SHIFT_RIGHT(i, j, x, y) PQV_SHIFT_BY("vpsravd", i, j, x, y)
#define PQV_SHIFT_BOTH(i, j, x, y) \
  PQV_SHIFT_LEFT(i, j, x, y) \
  "vpsravd " PQV_AT(shift, 2) ", %%zmm" #x ", %%zmm" #x "\n\t" \
  "vpsravd " PQV_AT(shift, 3) ", %%zmm" #y ", %%zmm" #y "\n\t"

// Words of a row in zmm`x`, of its sums once they are shifted.
#define PQV_WORDS(x, y) \
  "vpackssdw %%zmm" #y ", %%zmm" #x ", %%zmm" #x "\n\t" \
  "vpmulhrsw %%zmm28, %%zmm" #x ", %%zmm" #x "\n\t"
#define PQV_NO_RESIDUAL(x)
#define PQV_RESIDUAL(x) \
  "vmovdqa32 " PQV_AT(output, 4) ", %%ymm31\n\t" \
  "vpermd (%[residual]), %%ymm31, %%ymm31\n\t" \
  "vpmovsxbw %%ymm31, %%zmm31\n\t" \
  "vpsllw $8, %%zmm31, %%zmm31\n\t" \
  "vpmulhrsw " PQV_AT(residual_multiplier, 0) ", %%zmm31, %%zmm31\n\t" \
  "vpaddsw %%zmm31, %%zmm" #x ", %%zmm" #x "\n\t" \
  "add 24+%c[rows](%[tile]), %[residual]\n\t"
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
  "add 8+%c[rows](%[tile]), %[count]\n\t" \
  "vextracti64x4 $1, %%zmm29, (%[count])\n\t" \
  "add 8+%c[rows](%[tile]), %[count]\n\t"

// Two rows of output: `how` is how sums are shifted, `add` what is added to them.
#define PQV_OUTPUT(i, j, k, l, how, add) \
  how(i, j, 29, 30) PQV_WORDS(29, 30) add(29) \
  how(k, l, 30, 31) PQV_WORDS(30, 31) add(30) \
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
#define PQV_ROW(address, i, j) \
  "vpbroadcastd " address ", %%zmm28\n\t" \
  "vpdpbusd %%zmm24, %%zmm28, %%zmm" #i "\n\t" \
  "vpdpbusd %%zmm25, %%zmm28, %%zmm" #j "\n\t"
#define PQV_DIRECT_STEP(load) \
  load \
  PQV_EACH_SOURCE(PQV_ROW, "") \
  "add $4, %[a]\n\t"

// Three groups: the products of two are Winograd's, whose sums of bytes are made for each row.
#define PQV_PAIR_ROW(address, i, j) \
  "vpbroadcastd " address ", %%zmm28\n\t" \
  "vpbroadcastd 4+" address ", %%zmm29\n\t" \
  "vpaddb %%zmm26, %%zmm28, %%zmm30\n\t" \
  "vpaddb %%zmm24, %%zmm29, %%zmm31\n\t" \
  "vpdpbusd %%zmm31, %%zmm30, %%zmm" #i "\n\t" \
  "vpaddb %%zmm27, %%zmm28, %%zmm28\n\t" \
  "vpaddb %%zmm25, %%zmm29, %%zmm29\n\t" \
  "vpdpbusd %%zmm29, %%zmm28, %%zmm" #j "\n\t"
#define PQV_INNER_STEP \
  "vmovdqa64 (%[b]), %%zmm24\n\t" \
  "vmovdqa64 64(%[b]), %%zmm25\n\t" \
  "vmovdqa64 128(%[b]), %%zmm26\n\t" \
  "vmovdqa64 192(%[b]), %%zmm27\n\t" \
  PQV_EACH_SOURCE(PQV_PAIR_ROW, "0") \
  "vmovdqa64 256(%[b]), %%zmm24\n\t" \
  "vmovdqa64 320(%[b]), %%zmm25\n\t" \
  PQV_EACH_SOURCE(PQV_ROW, "8") \
  "add $384, %[b]\n\t" \
  "add $12, %[a]\n\t"

#define PQV_MULTIPLY(step) \
  "mov %c[steps](%[tile]), %[count]\n" \
  ".p2align 6\n" \
  "1:\n\t" \
  "prefetcht0 (%[next])\n\t" \
  "add %c[next_step](%[tile]), %[next]\n\t" \
  step \
  "dec %[count]\n\t" \
  "jnz 1b\n\t"

#define PQV_TILE(begin, step, how, add) \
  "mov %c[of_rows](%[tile]), %[residual]\n\t" \
  "vmovdqa64 " PQV_AT(bias, 0) ", %%zmm24\n\t" \
  "vmovdqa64 " PQV_AT(bias, 1) ", %%zmm25\n\t" \
  PQV_EACH_ROW(begin) \
  PQV_MULTIPLY(step) \
  "vmovdqa64 " PQV_AT(shift, 0) ", %%zmm26\n\t" \
  "vmovdqa64 " PQV_AT(shift, 1) ", %%zmm27\n\t" \
  "vmovdqa64 " PQV_AT(multiplier, 0) ", %%zmm28\n\t" \
  "mov %c[rows](%[tile]), %[count]\n\t" \
  "mov 16+%c[rows](%[tile]), %[residual]\n\t" \
  PQV_EACH_TWO_ROWS(PQV_OUTPUT, how, add)

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
        [bias] "i"(offsetof(AssemblyTile, bias)), [of_rows] "i"(offsetof(AssemblyTile, of_rows)), \
        [shift] "i"(offsetof(AssemblyTile, shift)), \
        [multiplier] "i"(offsetof(AssemblyTile, multiplier)), \
        [residual_multiplier] "i"(offsetof(AssemblyTile, residual_multiplier)), \
        [output] "i"(offsetof(AssemblyTile, output)), [rows] "i"(offsetof(AssemblyTile, rows)), \
        [steps] "i"(offsetof(AssemblyTile, steps)), \
        [next_step] "i"(offsetof(AssemblyTile, next) + offsetof(NextWeights, step)) \
      : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
        "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", \
        "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
        "xmm28", "xmm29", "xmm30", "xmm31"); \
  tile->next.line = next
// clang-format on

// `b` are steps, or panels of the file b_stride bytes apart.
#define PQV_FUNCTION(name, ...)                                                                 \
  static __attribute__((noinline)) void name(const uint8_t* a, size_t stride, const uint8_t* b, \
                                             size_t b_stride, AssemblyTile* tile) {             \
    PQV_RUN(PQV_TILE(__VA_ARGS__));                                                             \
  }
// Those of steps, of triples of them, and of panels of the file.
#define PQV_STEPS_FUNCTION(name, ...) \
  PQV_FUNCTION(name, PQV_BEGIN, PQV_DIRECT_STEP(PQV_STEP), __VA_ARGS__)
#define PQV_INNER_FUNCTION(name, ...) \
  PQV_FUNCTION(name, PQV_BEGIN_OF_ROW, PQV_INNER_STEP, __VA_ARGS__)
#define PQV_FILE_FUNCTION(name, ...) \
  PQV_FUNCTION(name, PQV_BEGIN, PQV_DIRECT_STEP(PQV_FILE_STEP), __VA_ARGS__)

PQV_STEPS_FUNCTION(StepsLeft, PQV_SHIFT_LEFT, PQV_NO_RESIDUAL)
PQV_STEPS_FUNCTION(StepsLeftAdd, PQV_SHIFT_LEFT, PQV_RESIDUAL)
PQV_STEPS_FUNCTION(StepsRight, PQV_SHIFT_RIGHT, PQV_NO_RESIDUAL)
PQV_STEPS_FUNCTION(StepsRightAdd, PQV_SHIFT_RIGHT, PQV_RESIDUAL)
PQV_STEPS_FUNCTION(StepsBoth, PQV_SHIFT_BOTH, PQV_NO_RESIDUAL)
PQV_STEPS_FUNCTION(StepsBothAdd, PQV_SHIFT_BOTH, PQV_RESIDUAL)
PQV_INNER_FUNCTION(InnerLeft, PQV_SHIFT_LEFT, PQV_NO_RESIDUAL)
PQV_INNER_FUNCTION(InnerLeftAdd, PQV_SHIFT_LEFT, PQV_RESIDUAL)
PQV_INNER_FUNCTION(InnerRight, PQV_SHIFT_RIGHT, PQV_NO_RESIDUAL)
PQV_INNER_FUNCTION(InnerRightAdd, PQV_SHIFT_RIGHT, PQV_RESIDUAL)
PQV_INNER_FUNCTION(InnerBoth, PQV_SHIFT_BOTH, PQV_NO_RESIDUAL)
PQV_INNER_FUNCTION(InnerBothAdd, PQV_SHIFT_BOTH, PQV_RESIDUAL)
PQV_FILE_FUNCTION(FileRight, PQV_SHIFT_RIGHT, PQV_NO_RESIDUAL)
PQV_FILE_FUNCTION(FileRightAdd, PQV_SHIFT_RIGHT, PQV_RESIDUAL)

using RunAssemblyTile = void (*)(const uint8_t* a, size_t stride, const uint8_t* b, size_t b_stride,
                                 AssemblyTile* tile);
// [Shifts][whether there is a residual].
constexpr RunAssemblyTile kStepsTile[kShifts][2] = {
    {StepsLeft, StepsLeftAdd}, {StepsRight, StepsRightAdd}, {StepsBoth, StepsBothAdd}};
constexpr RunAssemblyTile kInnerTile[kShifts][2] = {
    {InnerLeft, InnerLeftAdd}, {InnerRight, InnerRightAdd}, {InnerBoth, InnerBothAdd}};
// Of int8, whose sums are hardly ever shifted to the left.
constexpr RunAssemblyTile kFileTile[kShifts][2] = {{}, {FileRight, FileRightAdd}, {}};

#undef PQV_AT
#undef PQV_BEGIN
#undef PQV_BEGIN_OF_ROW
#undef PQV_DIRECT_STEP
#undef PQV_EACH_ROW
#undef PQV_EACH_SOURCE
#undef PQV_EACH_TWO_ROWS
#undef PQV_FILE_FUNCTION
#undef PQV_FILE_STEP
#undef PQV_FUNCTION
#undef PQV_INNER_FUNCTION
#undef PQV_INNER_STEP
#undef PQV_MULTIPLY
#undef PQV_NO_RESIDUAL
#undef PQV_OUTPUT
#undef PQV_PAIR_ROW
#undef PQV_RESIDUAL
#undef PQV_ROW
#undef PQV_RUN
#undef PQV_SHIFT_BOTH
#undef PQV_SHIFT_BY
#undef PQV_SHIFT_LEFT
#undef PQV_SHIFT_RIGHT
#undef PQV_STEP
#undef PQV_STEPS_FUNCTION
#undef PQV_STORE_TWO
#undef PQV_TILE
#undef PQV_WORDS

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_ASSEMBLY_TILE_AVX512VNNI_H_
