// A packed matmul with a GELU behind it.

#ifndef PQV_KERNELS_PACKED_MATMUL_GELU_H_
#define PQV_KERNELS_PACKED_MATMUL_GELU_H_

#include "kernels/variant.h"

namespace pqv {

// The block of `kernel`, one of the variant's, through the tables. In place: what has just been
// written is still in the caches of the task.
static inline void RunMatMulGelu(const Variant& variant, const PackedMatMulKernel& kernel,
                                 const PackedMatMul& op, const PackedMatMulBlock& block,
                                 const GeluTables& tables, int8_t* y) {
  kernel.run(op, block, y);
  int8_t* const first = y + block.row_begin * block.y_stride + block.channel_begin;
  RunGeluTables(variant.gelu, tables, block.channel_begin,
                {block.row_end - block.row_begin, block.channel_end - block.channel_begin,
                 block.y_stride, first, first});
}

}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_GELU_H_
