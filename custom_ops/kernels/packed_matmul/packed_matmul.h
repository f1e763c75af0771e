// PackedInt4MatMul, PackedInt8MatMul, their Add forms and PackedInt8MatMulToInt32.

#ifndef PQV_KERNELS_PACKED_MATMUL_PACKED_MATMUL_H_
#define PQV_KERNELS_PACKED_MATMUL_PACKED_MATMUL_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"
#include "kernels/common/requantizer.h"

namespace pqv {

// Arrays of what weights give to the sums of their channels, one for each kind of product: what
// offsets of rows add, and what products among weights do, with its sign turned.
constexpr size_t kWeightSums = 2;

// What a node fixes. Arrays of channels are padded, see kChannelPadding.
struct PackedMatMul {
  size_t k;
  size_t n;
  const void* weights;  // in the layout n8k4.v1 of the file, already validated
  const int32_t* bias;
  const int32_t* rounded_bias;         // with the requantizer's rounding; not for run_to_int32
  ChannelRequantizer requantizer;      // not read by run_to_int32
  const int16_t* residual_multiplier;  // null where the op has no residual
  int y_bits;
  const int32_t* weight_sums;  // kWeightSums arrays; null for kernels without sum_weights
  bool has_narrow_weights;     // of 7 bits or fewer, as sum_weights found
};

// One rectangle of the output. Strides are in elements.
struct PackedMatMulBlock {
  size_t row_begin, row_end;          // row_begin is a multiple of row_tile
  size_t channel_begin, channel_end;  // channel_begin is a multiple of channel_tile
  const int8_t* a;                    // row 0
  size_t a_stride;
  const int8_t* residual;  // row 0; row r of the output reads row r % residual_rows
  size_t residual_stride;
  size_t residual_rows;
  size_t y_stride;
  // The rows of `a`, as the kernel prepared them for all blocks, or null; and how many they are.
  uint8_t* prepared;
  size_t prepared_rows;
  bool has_narrow_rows;  // prepared for products of 7 bits or fewer, as prepared_bytes found
  uint8_t* scratch;      // scratch_bytes of the kernel for this block alone, at the start of a line
};

struct PackedMatMulKernel {
  size_t row_tile;
  size_t channel_tile;  // divides kChannelPadding
  void (*run)(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y);
  // For int8 weights; may be null for int4, where no op asks for it.
  void (*run_to_int32)(const PackedMatMul& op, const PackedMatMulBlock& block, int32_t* y);
  // Rows that are cut only into pieces of about as many: each prepares its weights anew.
  size_t min_task_rows = 128;
  // Bytes of memory that a block, whose rows are prepared or not, needs while it runs; null for a
  // kernel that needs none.
  size_t (*scratch_bytes)(const PackedMatMul& op, const PackedMatMulBlock& block) = nullptr;
  // For kernels that may want rows prepared once, before the blocks of a product are run; else
  // null. The bytes of `prepared` for the whole output, 0 where this product does without. May
  // set has_narrow_rows.
  size_t (*prepared_bytes)(const PackedMatMul& op, PackedMatMulBlock* whole) = nullptr;
  // Prepares rows row_begin .. row_end of the block, of which row_begin is a multiple of row_tile.
  // False if their values are such that the product must do without.
  bool (*prepare)(const PackedMatMul& op, const PackedMatMulBlock& block) = nullptr;
  // For kernels that want weight_sums, which nodes find once; else null.
  // Returns has_narrow_weights.
  bool (*sum_weights)(const PackedMatMul& op, int32_t* sums) = nullptr;
};

PQV_IN_EACH_ISA(extern const PackedMatMulKernel kPackedInt4MatMul;
                extern const PackedMatMulKernel kPackedInt8MatMul;)

}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_PACKED_MATMUL_H_
