// Winograd's inner product of all codes of 4 bits: compiling it is the test.

#include "kernels/gemm/inner_product.h"

namespace pqv {
namespace {

constexpr int kLow = -8;
constexpr int kHigh = 7;

constexpr bool IsCodeSum(int x) { return x >= 0 && x <= kMaxCodeSum; }

// Of the header's formulas, those of a pair of k.
constexpr bool IsExact(int x1, int x2, int y1, int y2) {
  const int u1 = x1 + kCodeOffset, u2 = x2 + kCodeOffset;
  const int v1 = y1 + kCodeOffset, v2 = y2 + kCodeOffset;
  const int left = u1 + v2, right = u2 + v1;
  const int unsigned_product = left * right - u1 * u2 - v1 * v2;
  const int of_row = kCodeOffset * (u1 + u2), of_channel = kCodeOffset * (y1 + y2);
  return IsCodeSum(left) && IsCodeSum(right) && unsigned_product == u1 * v1 + u2 * v2 &&
         unsigned_product - of_row - of_channel == x1 * y1 + x2 * y2;
}

constexpr bool AllExact() {
  for (int x1 = kLow; x1 <= kHigh; ++x1) {
    for (int x2 = kLow; x2 <= kHigh; ++x2) {
      for (int y1 = kLow; y1 <= kHigh; ++y1) {
        for (int y2 = kLow; y2 <= kHigh; ++y2) {
          if (!IsExact(x1, x2, y1, y2)) return false;
        }
      }
    }
  }
  return true;
}

static_assert(AllExact(), "");
static_assert(!IsExact(kHigh + 1, 0, 0, kHigh), "what this finds");

}  // namespace
}  // namespace pqv
