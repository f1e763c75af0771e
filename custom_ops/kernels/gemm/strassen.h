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
// (Winograd, "On multiplication of 2 x 2 matrices", 1971.) The seven products can be made like that
// themselves, which is a second level. A sum has four terms at most, two of them with each sign;
// that of sums sixteen. Codes of 4 bits are in [-8, 7], so sums are in [-120, 120], those of
// symmetric weights, in [-7, 7], in [-112, 112]: bytes.

#ifndef PQV_KERNELS_GEMM_STRASSEN_H_
#define PQV_KERNELS_GEMM_STRASSEN_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

// Products in the order in which their sums are chained: P1 P2 P6 P7 P4 P5 P3. The factors of one
// matrix lie in memory in that order, A11 A12 S2 S3 A22 S1 S4 and B11 B21 T2 T3 -T4 T1 B22: P4 is
// subtracted. Behind those of B comes B12, for rows that are multiplied directly.
constexpr size_t kStrassenProducts = 7;

// Where the blocks of B are, [k block][channel block].
constexpr size_t kStrassenB[2][2] = {{0, 7}, {1, 6}};

// What splitting costs, beside the products.
struct StrassenCost {
  size_t sums;  // instructions of a tile: sums saved, loaded, added; starts and ends of products
  size_t row_sums;     // of a vector of A, for its factors
  size_t weight_sums;  // of a vector of B, whose bytes a step multiplies
};

constexpr size_t kMaxStrassenLevels = 2;

// What a tile has to do with it.
struct StrassenTile {
  size_t rows;                             // of a block of A, and of all that is not split any more
  size_t channels;                         // of a block of B
  size_t block_k;                          // K of a block is a multiple of it
  size_t step_macs;                        // products of one instruction
  StrassenCost costs[kMaxStrassenLevels];  // with one level, and with two, if there are such
};

// The instructions that `levels` save of a product, per channel of a tile. Compared are those of a
// tile of output: each level leaves seven of eight products; what it costs are sums of tiles, and
// sums of rows and of weights, which are the cheaper the more channels and rows share them.
static constexpr size_t StrassenGain(const StrassenTile& tile, size_t levels, size_t rows,
                                     size_t channels, size_t k) {
  const size_t blocks = size_t{1} << levels;
  const StrassenCost& cost = tile.costs[levels - 1];
  if (cost.sums == 0 || rows < blocks * tile.rows || channels < blocks * tile.channels || k == 0 ||
      k % (blocks * tile.block_k) != 0) {
    return 0;
  }
  const size_t whole_rows = rows - rows % (blocks * tile.rows);  // the others have no factors
  const size_t products = tile.rows * tile.channels * k / tile.step_macs;
  const size_t saved = levels == 1 ? products / 8 : products * 15 / 64;
  const size_t of_rows = cost.row_sums * products / channels;
  const size_t of_weights = cost.weight_sums * products / whole_rows;
  const size_t spent = cost.sums + of_rows + of_weights;
  return saved > spent ? (saved - spent) * whole_rows : 0;
}

// How many levels cost the least; none where the product itself does.
static constexpr size_t StrassenLevels(const StrassenTile& tile, size_t rows, size_t channels,
                                       size_t k) {
  const size_t one = StrassenGain(tile, 1, rows, channels, k);
  const size_t two = StrassenGain(tile, 2, rows, channels, k);
  return two > one ? 2 : one > 0 ? 1 : 0;
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
