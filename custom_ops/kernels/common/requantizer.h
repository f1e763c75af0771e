// Requantization constants per output channel, prepared once when a node is created.

#ifndef PQV_KERNELS_COMMON_REQUANTIZER_H_
#define PQV_KERNELS_COMMON_REQUANTIZER_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/sizes.h"

namespace pqv {

// Arrays indexed by channel are allocated, and zero, up to the next multiple of this, so that a
// kernel may load a whole vector at their end.
constexpr size_t kChannelPadding = 64;

static inline size_t PaddedChannels(size_t channels) { return RoundUp(channels, kChannelPadding); }

// All arrays have PaddedChannels(channels) elements.
struct ChannelRequantizer {
  const int8_t* shift;         // as in the model, [-15, 30]
  const int16_t* multiplier;   // as in the model, [-32767, 32767]
  const int32_t* right_shift;  // max(shift, 0)
  const int32_t* rounding;     // 2^(shift - 1) for shift > 0, else 0
  const int32_t* left_shift;   // max(-shift, 0)
  const int32_t* upper_shift;  // 16 - shift: to the left, of sums whose upper half is wanted
  bool has_left_shift;         // some channel has shift < 0, as most of 4-bit models do
};

}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_REQUANTIZER_H_
