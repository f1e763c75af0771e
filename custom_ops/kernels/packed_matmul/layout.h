// The layout n8k4.v1 of packed weights in the file: panels of 8 channels, groups of 4 k.

#ifndef PQV_KERNELS_PACKED_MATMUL_LAYOUT_H_
#define PQV_KERNELS_PACKED_MATMUL_LAYOUT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/sizes.h"

namespace pqv {

constexpr size_t kPanelChannels = 8;
constexpr size_t kGroupSize = 4;

// Bytes of one group of one panel.
static constexpr size_t GroupBytes(int bits) { return kPanelChannels * kGroupSize * bits / 8; }

// First byte of the group that holds W[k, n].
static inline const uint8_t* Group(const void* n8k4, int bits, size_t k_total, size_t k, size_t n) {
  const size_t groups = CeilDivide(k_total, kGroupSize);
  const size_t index = n / kPanelChannels * groups + k / kGroupSize;
  return static_cast<const uint8_t*>(n8k4) + index * GroupBytes(bits);
}

// W[k, n], for k and n up to the padded sizes.
static inline int8_t WeightAt(const void* n8k4, int bits, size_t k_total, size_t k, size_t n) {
  const uint8_t* group = Group(n8k4, bits, k_total, k, n);
  const size_t channel = n % kPanelChannels;
  if (bits == 8) return static_cast<int8_t>(group[kGroupSize * channel + k % kGroupSize]);
  const uint8_t byte = group[kGroupSize * (channel % 4) + k % kGroupSize];
  const int nibble = channel < 4 ? byte & 0x0F : byte >> 4;
  return static_cast<int8_t>((nibble ^ 8) - 8);
}

}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_LAYOUT_H_
