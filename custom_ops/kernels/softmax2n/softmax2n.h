// IntSoftmax2n, IntSoftmax2nBias: base-2 weights of a row, relative to its maximum.
//
// bias and mask are [rows, n] like the logits; a nonzero mask excludes a place.

#ifndef PQV_KERNELS_SOFTMAX2N_SOFTMAX2N_H_
#define PQV_KERNELS_SOFTMAX2N_SOFTMAX2N_H_

#include <stddef.h>
#include <stdint.h>

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
constexpr int kSoftmaxMaxCode = 7;   // log2: 2^(7 - code), 0 beyond
constexpr int kSoftmaxMaxShift = 9;  // uniform: 256 >> 9 is 0

namespace scalar {
void RunSoftmax2n(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y);
void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y);
}  // namespace scalar
namespace avx2 {
void RunSoftmax2n(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y);
void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y);
}  // namespace avx2
namespace avx512vnni {
void RunSoftmax2n(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y);
void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y);
}  // namespace avx512vnni
namespace neon {
void RunSoftmax2n(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y);
void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y);
}  // namespace neon

}  // namespace pqv

#endif  // PQV_KERNELS_SOFTMAX2N_SOFTMAX2N_H_
