// Winograd's form of Strassen's product of matrices of 2 x 2 blocks: 7 products of blocks in place
// of 8, and nothing is rounded. Which factors it takes, and when it pays.
//
//   C11 = P1 + P2                 P1 = A11 B11              P5 = S1 T1
//   C12 = P1 + P6 + P5 + P3       P2 = A12 B21              P6 = S2 T2
//   C21 = P1 + P6 + P7 - P4       P3 = S4 B22               P7 = S3 T3
//   C22 = P1 + P6 + P7 + P5       P4 = A22 T4
//
//   S1 = A21 + A22   S2 = S1 - A11   S3 = A11 - A21   S4 = A12 - S2
//   T1 = B12 - B11   T2 = B22 - T1   T3 = B22 - B12   T4 = T2 - B21
//
// (Winograd, "On multiplication of 2 x 2 matrices", 1971.) A sum has four terms at most. Codes of
// 4 bits are in [-8, 7], so sums are in [-32, 31], those of symmetric weights in [-28, 28]: bytes.

#ifndef PQV_KERNELS_GEMM_STRASSEN_H_
#define PQV_KERNELS_GEMM_STRASSEN_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

constexpr int kMaxStrassenTerms = 4;  // of a sum
static_assert(kMaxStrassenTerms * 8 <= 128, "sums of codes of 4 bits are bytes");

// Products in the order in which their sums are chained: P1 P2 P6 P7 P4 P5 P3. The factors of one
// matrix lie in memory in that order, A11 A12 S2 S3 A22 S1 S4 and B11 B21 T2 T3 -T4 T1 B22: P4 is
// subtracted. Behind those of B comes B12, for rows that are multiplied directly.
constexpr size_t kStrassenProducts = 7;

// Where the blocks of B are, [k block][channel block].
constexpr size_t kStrassenB[2][2] = {{0, 7}, {1, 6}};

// What a tile has to do with it.
struct StrassenTile {
  size_t rows;       // of a block of A
  size_t channels;   // of a block of B
  size_t block_k;    // K of a block is a multiple of it
  size_t step_macs;  // products of one instruction
  size_t cost;       // instructions beside the products: sums saved, loaded, added, starts of loops
  size_t weight_sum_cost;  // of a vector of a factor of B, whose bytes a step multiplies
};

// Whether it takes fewer instructions than the product itself. They are compared per tile of
// output: one of eight products is saved; what it costs are sums of tiles, and sums of rows and of
// weights, which are the cheaper the more channels and rows share them.
static constexpr bool StrassenPays(const StrassenTile& tile, size_t rows, size_t channels,
                                   size_t k) {
  constexpr size_t kRowSumCost = 2;  // of a vector of a factor of A
  if (tile.step_macs == 0 || rows < 2 * tile.rows || channels < 2 * tile.channels || k == 0 ||
      k % (2 * tile.block_k) != 0) {
    return false;
  }
  const size_t whole_rows = rows - rows % (2 * tile.rows);  // the others have no factors
  const size_t products = tile.rows * tile.channels * k / tile.step_macs;
  const size_t of_rows = kRowSumCost * products / channels;
  const size_t of_weights = tile.weight_sum_cost * products / whole_rows;
  return products / 8 > tile.cost + of_rows + of_weights;
}

// The sums of four blocks, [2 * row block + channel block], each of 8 rows by 8 channels.
struct StrassenSums {
  alignas(16) int32_t block[4][64];
};

// What output is made of the sums of a tile: 16 rows by 16 channels, from where the pointers are.
struct StrassenEnds {
  const int32_t* shift;  // ChannelRequantizer::upper_shift; null where sums are wanted
  const int16_t* multiplier;
  const int8_t* limits;  // 16 times the lowest, then 16 times the highest value
  int8_t* y;
  size_t y_stride;
  const int16_t* residual_multiplier;  // null where there is no residual
  const int8_t* residual;
  size_t residual_stride;
};

}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_STRASSEN_H_
