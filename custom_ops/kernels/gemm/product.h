// What every matrix product of ours is cut into, whatever multiplies: rows of bytes by panels of
// the other factor, between an epilogue's beginning and its end. An op says
//
//   Panels:   how its weights, keys or values become panels in the form that a tile reads,
//   Epilogue: what sums begin with, and what becomes of them;
//
// an instruction set has a tile, and a driver that brings these together block by block:
// tile_neon.h, driver_avx512vnni.h. With AMX every op has a loop of its own, in which the sums of
// a block leave the tiles while the next one is multiplied; with AVX2, too, where the values of a
// block decide what multiplies it.

#ifndef PQV_KERNELS_GEMM_PRODUCT_H_
#define PQV_KERNELS_GEMM_PRODUCT_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

// Rows of A, and channels of the other factor. Strides are in bytes.
struct Product {
  size_t row_begin, row_end;
  size_t channel_begin, channel_end;  // channel_begin is the first one of a panel
  size_t k;
  const uint8_t* a;  // row 0
  size_t a_stride;
};

}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_PRODUCT_H_
