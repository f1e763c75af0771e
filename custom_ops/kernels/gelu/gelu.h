// IntGELU: tables of 256 entries, one per int8 value, each for a group of channels.

#ifndef PQV_KERNELS_GELU_GELU_H_
#define PQV_KERNELS_GELU_GELU_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/common/isas.h"

namespace pqv {

constexpr size_t kGeluTableSize = 256;

// A block of bytes: row r is at x + r * stride, and at y + r * stride when it is done. x and y are
// the same or do not overlap.
struct GeluBlock {
  size_t rows;
  size_t width;
  size_t stride;
  const int8_t* x;
  int8_t* y;
};

// Each for `group_width` neighbouring channels.
struct GeluTables {
  const int8_t* entries;
  size_t group_width;
};

using GeluKernel = void (*)(const int8_t* table, const GeluBlock& block);

// A block whose first column is `channel`.
static inline void RunGeluTables(GeluKernel run, const GeluTables& tables, size_t channel,
                                 GeluBlock block) {
  for (size_t left = block.width; left > 0; left -= block.width) {
    const size_t group = channel / tables.group_width;
    const size_t group_end = (group + 1) * tables.group_width;
    block.width = group_end - channel < left ? group_end - channel : left;
    run(tables.entries + kGeluTableSize * group, block);
    channel += block.width;
    block.x += block.width;
    block.y += block.width;
  }
}

PQV_IN_EACH_ISA(void RunGelu(const int8_t* table, const GeluBlock& block);)

}  // namespace pqv

#endif  // PQV_KERNELS_GELU_GELU_H_
