// Winograd's inner product of codes of 7 bits or fewer: half of the products, and nothing is
// rounded.
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
// VPDPBUSD multiplies unsigned by signed bytes. Codes of 7 bits are in [-64, 63], so x2 + y1 is in
// [-128, 126], and x1 + 128 + y2 in [0, 254]. With x' = x + 128 in the first and the last group of
// three
//
//   x1 y1 + x2 y2 + x3 y3 = (x1' + y2)(x2 + y1) + x3' y3
//                         - x1' x2                            of a row
//                         - (y2 + 128) y1 - 128 y3            of a channel
//
// Rows are prepared like that, weights are what they are for the direct product. Where k is padded
// weights are 0, and x2 is.

#ifndef PQV_KERNELS_GEMM_INNER_PRODUCT_H_
#define PQV_KERNELS_GEMM_INNER_PRODUCT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/sizes.h"

namespace pqv {

constexpr int kMinNarrow = -64;
constexpr int kMaxNarrow = 63;
constexpr int kInnerOffset = 128;  // of x'
static_assert(2 * kMinNarrow >= INT8_MIN && 2 * kMaxNarrow <= INT8_MAX, "signed bytes");
static_assert(kInnerOffset + 2 * kMinNarrow >= 0 && kInnerOffset + 2 * kMaxNarrow <= UINT8_MAX,
              "unsigned bytes");

constexpr size_t kTripleGroups = 3;  // of k: a pair, and one that is multiplied as it is
constexpr size_t kTripleK = kTripleGroups * 4;

// Whether it pays: each row is prepared for all channels, and each of them begins and ends sums of
// all k. With 96 channels it is a loss of 2 to 5%, with k = 64 one of 10 to 31%.
static constexpr bool PaysInner(size_t channels, size_t k) { return channels >= 128 && k >= 96; }

static constexpr size_t Triples(size_t k) { return CeilDivide(k, kTripleK); }

// Bytes of a prepared row: whole triples.
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
