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

// function(Count<count>), 1 <= count <= kMost <= 6. A switch: by ifs the mean of windows takes a
// quarter more time.
template <size_t kMost, typename Function>
static PQV_INLINE void WithCount(size_t count, const Function& function) {
  static_assert(kMost <= 6, "each count has a case");
  switch (count) {
    case 1:
      if constexpr (kMost > 1) return function(Count<1>());
      [[fallthrough]];
    case 2:
      if constexpr (kMost > 2) return function(Count<2>());
      [[fallthrough]];
    case 3:
      if constexpr (kMost > 3) return function(Count<3>());
      [[fallthrough]];
    case 4:
      if constexpr (kMost > 4) return function(Count<4>());
      [[fallthrough]];
    case 5:
      if constexpr (kMost > 5) return function(Count<5>());
      [[fallthrough]];
    default:
      return function(Count<kMost>());
  }
}

}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_INLINE_H_
