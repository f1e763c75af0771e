// What is inlined even where compilers would rather not.

#ifndef PQV_KERNELS_COMMON_INLINE_H_
#define PQV_KERNELS_COMMON_INLINE_H_

#include <stddef.h>

// Functions in headers stay static.
#define PQV_INLINE __attribute__((always_inline)) inline
#define PQV_LAMBDA __attribute__((always_inline))

namespace pqv {

template <size_t kNumber>
struct Count {
  static constexpr size_t kValue = kNumber;
};

// function(Count<count>), 1 <= count <= kMost.
template <size_t kMost, typename Function>
static PQV_INLINE void WithCount(size_t count, const Function& function) {
  if (kMost == 1 || count == kMost) return function(Count<kMost>());
  if constexpr (kMost > 1) WithCount<kMost - 1>(count, function);
}

}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_INLINE_H_
