// Winograd's inner product of codes of 7 bits: compiling it is the test.

#include "kernels/gemm/inner_product.h"

namespace pqv {
namespace {

constexpr bool IsExact(int x1, int x2, int x3, int y1, int y2, int y3) {
  const int unsigned_x1 = x1 + kInnerOffset, unsigned_x3 = x3 + kInnerOffset;
  const int left = unsigned_x1 + y2, right = x2 + y1;
  const int of_row = unsigned_x1 * x2;
  const int of_channel = (y2 + kInnerOffset) * y1 + kInnerOffset * y3;
  return left >= 0 && left <= UINT8_MAX && right >= INT8_MIN && right <= INT8_MAX &&
         left * right + unsigned_x3 * y3 - of_row - of_channel == x1 * y1 + x2 * y2 + x3 * y3;
}

// Each term is a product of two numbers: the extremes, 0 and 1 of each tell polynomials apart.
constexpr bool AllExact() {
  constexpr int kValues[] = {kMinNarrow, 0, 1, kMaxNarrow};
  for (int i = 0; i < 4 * 4 * 4 * 4 * 4 * 4; ++i) {
    if (!IsExact(kValues[i % 4], kValues[i / 4 % 4], kValues[i / 16 % 4], kValues[i / 64 % 4],
                 kValues[i / 256 % 4], kValues[i / 1024])) {
      return false;
    }
  }
  return true;
}

static_assert(AllExact(), "");
static_assert(!IsExact(kMaxNarrow + 1, 0, 0, 0, kMaxNarrow + 1, 0), "what this finds");
static_assert(!IsExact(0, kMinNarrow, 0, kMinNarrow - 1, 0, 0), "what this finds");

}  // namespace
}  // namespace pqv
