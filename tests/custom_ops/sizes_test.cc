// How sizes are cut into parts: compiling it is the test.

#include "kernels/common/sizes.h"

namespace pqv {
namespace {

static_assert(CeilDivide(0, 4) == 0 && CeilDivide(1, 4) == 1 && CeilDivide(8, 4) == 2, "");
static_assert(RoundUp(0, 4) == 0 && RoundUp(5, 4) == 8 && RoundUp(8, 4) == 8, "");

// One part, in whole units.
static_assert(EvenPart(0, 96, 6) == 0 && EvenPart(1, 96, 6) == 6 && EvenPart(96, 96, 6) == 96, "");
// As few as there can be, even: not 96, 96 and 5.
static_assert(EvenPart(197, 96, 6) == 66 && EvenPart(197, 120, 6) == 102, "");

constexpr bool AreFewAndWhole(size_t most, size_t unit) {
  for (size_t x = 1; x < 10 * most; ++x) {
    const size_t part = EvenPart(x, most, unit);
    if (part > most || part % unit != 0) return false;
    if (CeilDivide(x, part) > CeilDivide(x, most)) return false;
  }
  return true;
}
static_assert(AreFewAndWhole(96, 6) && AreFewAndWhole(60, 4) && AreFewAndWhole(7, 1), "");

}  // namespace
}  // namespace pqv
