// The shared arithmetic of docs/ops.md on plain integers: the definition the scalar kernels use.
//
// Every function in the headers of kernels/ has internal linkage (static). They are compiled into
// files with different instruction sets; with external linkage the linker could keep the copy that
// was built for AVX2 and call it on a machine without.

#ifndef PQV_KERNELS_COMMON_ARITHMETIC_H_
#define PQV_KERNELS_COMMON_ARITHMETIC_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/limits.h"
#include "kernels/common/sizes.h"

namespace pqv {

static inline int64_t Clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : (x > high ? high : x);
}

static inline int32_t Saturate16(int64_t x) {
  return static_cast<int32_t>(Clamp(x, INT16_MIN, INT16_MAX));
}

// |x| <= 2^47, shift in [-15, 47].
static inline int64_t RoundShift(int64_t x, int shift) {
  if (shift <= 0) return x * (int64_t{1} << -shift);
  return (x + (int64_t{1} << (shift - 1))) >> shift;
}

// a and b in the int16 range.
static inline int32_t MulQ15(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }

static inline int32_t Requantize(int64_t accumulator, int shift, int32_t multiplier) {
  return MulQ15(Saturate16(RoundShift(accumulator, shift)), multiplier);
}

static inline int8_t Narrow(int32_t u, int y_bits) {
  const int64_t limit = int64_t{1} << (y_bits - 1);
  return static_cast<int8_t>(Clamp(RoundShift(u, kFractionBits), -limit, limit - 1));
}

// x > 0.
static inline int BitLength(uint64_t x) { return 64 - __builtin_clzll(x); }

// About 2^(14 + bit_length) / x, in [2^14, 32767]. x > 0, bit_length == BitLength(x) <= 49.
static inline int32_t Reciprocal(uint64_t x, int bit_length) {
  const uint64_t quotient = (uint64_t{1} << (bit_length + 14)) / x;
  return quotient > INT16_MAX ? INT16_MAX : static_cast<int32_t>(quotient);
}

// floor(sqrt(x)) by Newton's method from above, where it falls monotonically. x < 2^62.
static inline uint64_t IntegerSqrt(uint64_t x) {
  if (x == 0) return 0;
  // x is in [1/4, 1) of 4^half. There the tangent of the root at 9/16 is above it by 1/12 at most,
  // and three steps of Newton's square the error to less than 2^-35.
  const int half = (BitLength(x) + 1) / 2;
  uint64_t root = ((x >> half) + (uint64_t{9} << half) / 16 + 2) * 2 / 3 + 1;
  for (int step = 0; step < 3; ++step) root = (root + x / root) / 2;
  while (root * root > x) --root;
  return root;
}

// The two numbers with which IntWeightedMean requantizes one row.
struct RowScale {
  int shift;           // in [-15, 30]
  int32_t multiplier;  // in [0, 32767]
};

static inline RowScale WeightedMeanScale(int shift, int multiplier, uint32_t weight_sum) {
  const uint32_t sum = weight_sum > 0 ? weight_sum : 1;
  const int bit_length = BitLength(sum);
  return {shift + bit_length, MulQ15(multiplier, Reciprocal(sum, bit_length))};
}

}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_ARITHMETIC_H_
