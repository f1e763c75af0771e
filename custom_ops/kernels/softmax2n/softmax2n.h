// IntSoftmax2n, IntSoftmax2nBias: base-2 weights of a row, relative to its maximum.
//
// Logits are in [-2^29, 2^29]. bias and mask are [rows, n] like them; a nonzero mask excludes a
// place.

#ifndef PQV_KERNELS_SOFTMAX2N_SOFTMAX2N_H_
#define PQV_KERNELS_SOFTMAX2N_SOFTMAX2N_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"

namespace pqv {

struct Softmax2n {
  int shift;       // [-15, 30]
  int multiplier;  // [1, 32767]
  bool log2;       // powers of two, else uniform
};

// The uniform form approximates 2^(-x / 2^15) by T(x) / 32640 with
// T = 32640 - x * (21920 - x * 5600 / 2^15) / 2^15.
constexpr int kSoftmaxOne = 32640;
constexpr int kSoftmaxSlope = 21920;
constexpr int kSoftmaxCurve = 5600;
constexpr int kSoftmaxMaxCode = 7;                       // log2: 2^(7 - code), 0 beyond
constexpr int kSoftmaxMaxShift = 9;                      // uniform: 256 >> 9 is 0
constexpr int kSoftmaxNoWeight = kSoftmaxMaxShift << 8;  // from this distance on the weight is 0

// How far x is below the largest x of its row, `max`, both shifted right by shift > 0 with
// rounding, is (origin - x) >> shift; for other shifts origin - x is what remains to be shifted
// left.
static inline int32_t DifferenceOrigin(int shift, int32_t max) {
  if (shift <= 0) return max;
  const uint32_t unit = uint32_t{1} << shift;
  const uint32_t rounded = (static_cast<uint32_t>(max) + unit / 2) & ~(unit - 1);
  return static_cast<int32_t>(rounded + unit / 2 - 1);
}

// Strides are in elements, from row to row.
template <typename Logit>
struct SoftmaxRows {
  const Logit* x;
  size_t x_stride;
  size_t rows;
  size_t n;
  uint8_t* y;
  size_t y_stride;
};

// RunNarrowSoftmax2n takes logits of at most this magnitude, shifts of at most this, and so many
// places or more: differences then are int16.
constexpr int kMaxNarrowLogit = 1 << 13;
constexpr int kMaxNarrowShift = 13;
constexpr size_t kMinNarrowPlaces = 16;

// A row of t that is saturated to int16 has the weights of t itself if its maximum is this or more
// and below INT16_MAX: none above was cut off, and the lowest are too far below to have a weight,
// or farther than a difference counts.
static inline int16_t LowestNarrowMax(const Softmax2n& op) {
  const int32_t product = kSoftmaxNoWeight * (1 << 15) - (1 << 14);
  const int32_t far = (product + op.multiplier - 1) / op.multiplier;
  return static_cast<int16_t>(INT16_MIN + (far < INT16_MAX ? far : INT16_MAX));
}

PQV_IN_EACH_ISA(void RunSoftmax2n(const Softmax2n& op, const SoftmaxRows<int32_t>& rows);
                void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y);)
namespace neon {
void RunNarrowSoftmax2n(const Softmax2n& op, const SoftmaxRows<int16_t>& rows);
}

}  // namespace pqv

#endif  // PQV_KERNELS_SOFTMAX2N_SOFTMAX2N_H_
