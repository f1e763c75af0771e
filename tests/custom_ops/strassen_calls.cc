// The calls inside of StrassenProducts, for each number of blocks, by a program without a C
// library: so all of its code has landing pads (BTI) where the compiler is asked for them. Exits
// with the first number of blocks whose sums are wrong, or 0.

#include <stddef.h>
#include <stdint.h>

#include "kernels/gemm/strassen_dotprod.h"

extern "C" void* memset(void* target, int value, size_t count) {
  for (size_t i = 0; i < count; ++i) static_cast<volatile uint8_t*>(target)[i] = uint8_t(value);
  return target;
}

namespace pqv {
namespace {

uint8_t ones[kStrassenProducts * arm64::kMaxStrassenBlocks * 8 * 16];
int32_t bias[16];
StrassenSums sums;

// Of factors that are all one, each product gives the same, and C11 is two of them, the others
// four.
bool AreRight(size_t blocks) {
  arm64::StrassenProducts(ones, ones, blocks, bias, nullptr, {}, &sums);
  const int32_t product = static_cast<int32_t>(16 * blocks);
  for (size_t block = 0; block < 4; ++block) {
    for (const int32_t sum : sums.block[block]) {
      if (sum != (block == 0 ? 2 : 4) * product) return false;
    }
  }
  return true;
}

int Run() {
  for (uint8_t& one : ones) one = 1;
  for (size_t blocks = 1; blocks <= arm64::kMaxStrassenBlocks; ++blocks) {
    if (!AreRight(blocks)) return static_cast<int>(blocks);
  }
  return 0;
}

}  // namespace
}  // namespace pqv

extern "C" [[noreturn]] void _start() {
  constexpr long kExit = 93;
  register long status __asm__("x0") = pqv::Run();
  register long number __asm__("x8") = kExit;
  __asm__ volatile("svc 0" ::"r"(status), "r"(number));
  __builtin_unreachable();
}
