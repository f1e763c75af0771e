// Winograd's inner product of codes of 4 bits: half of the products, and nothing is rounded.
//
//   x1 y1 + x2 y2 = (x1 + y2)(x2 + y1) - x1 x2 - y1 y2
//
// (Winograd, "A new algorithm for inner product", 1968.) What is subtracted is the same for all
// channels of a row, and for all rows of a channel, so each is found once. Two additions take the
// place of one of two products. They pay on cores whose vector pipes add more often than they
// multiply bytes: on AMD four pipes add and two of them multiply. There two of three groups of k
// are multiplied so, and the third as it is, which gives each of the four as much to do: two cycles
// for what takes three.
//
// Codes are in [-8, 7], those plus 8 in [0, 15], and sums of two of them in [0, 30]: unsigned and
// signed bytes alike. With x' = x + 8 and y' = y + 8
//
//   sum of x y = sum of x' y' - 8 (sum of x') - 8 (sum of y)
//
// and these are parts of a row and of a channel, too. Where k is padded x' and y' are 0.

#ifndef PQV_KERNELS_GEMM_INNER_PRODUCT_H_
#define PQV_KERNELS_GEMM_INNER_PRODUCT_H_

#include <stdint.h>

#include "kernels/common/sizes.h"

namespace pqv {

constexpr int kCodeOffset = 8;             // of x' and y'
constexpr int kMaxCode = 15;               // of x' and y'
constexpr int kMaxCodeSum = 2 * kMaxCode;  // of x' + y'
static_assert(kMaxCodeSum <= INT8_MAX, "bytes, with a sign and without");

constexpr size_t kTripleGroups = 3;  // of k: a pair, and one that is multiplied as it is
constexpr size_t kTripleK = kTripleGroups * 4;

static constexpr size_t Triples(size_t k) { return CeilDivide(k, kTripleK); }

// Bytes of a prepared row: x', whole triples.
static constexpr size_t InnerStride(size_t k) { return Triples(k) * kTripleK; }

// Prepared rows are followed by what the sums of each begin with.
static constexpr size_t InnerBytes(size_t rows, size_t k) {
  return rows * (InnerStride(k) + sizeof(int32_t));
}
static inline int32_t* InnerOfRows(uint8_t* prepared, size_t rows, size_t k) {
  return reinterpret_cast<int32_t*>(prepared + rows * InnerStride(k));
}

}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_INNER_PRODUCT_H_
