// Bit lengths, reciprocals and square roots against their definition: all small numbers, what is
// around powers of two, squares and quotients that are nearly whole, and random ones; whatever way
// of rounding the caller has set.
//
// Exits with 0, with 1 after a line about what differs.

#include "tests/custom_ops/arithmetic_test.h"

#include <fenv.h>
#include <inttypes.h>
#include <stdio.h>

#include <random>
#include <vector>

#include "kernels/common/arithmetic.h"

namespace pqv {
namespace {

constexpr uint64_t kMaxRadicand = (uint64_t{1} << 50) - 1;

// A list for 16 numbers at a time.
template <typename T>
class Numbers {
 public:
  explicit Numbers(T min, T max) : min_(min), max_(max) {}

  // With what is beside it.
  void AddAround(uint64_t x) {
    for (const uint64_t i : {x - 1, x, x + 1}) {
      if (i >= min_ && i <= max_) numbers_.push_back(static_cast<T>(i));
    }
  }

  std::vector<T> Padded() const {
    std::vector<T> padded = numbers_;
    while (padded.size() % kNumbers != 0) padded.push_back(1);
    return padded;
  }

 private:
  const uint64_t min_, max_;
  std::vector<T> numbers_;
};

std::vector<uint32_t> Divisors(uint32_t max) {
  Numbers<uint32_t> numbers(1, max);
  std::mt19937_64 random(1);
  for (uint64_t x = 1; x < 1 << 18; x += 3) numbers.AddAround(x);
  for (int bit = 0; bit < 32; ++bit) {
    numbers.AddAround(uint64_t{1} << bit);
    for (uint64_t quotient = 1 << 14; quotient < 1 << 15; quotient += 7) {
      numbers.AddAround((uint64_t{1} << (bit + 15)) / quotient);
    }
  }
  for (int i = 0; i < 100000; ++i) numbers.AddAround(random() >> (32 + random() % 32));
  return numbers.Padded();
}

std::vector<uint64_t> Radicands() {
  Numbers<uint64_t> numbers(0, kMaxRadicand);
  std::mt19937_64 random(2);
  for (uint64_t x = 0; x < 1 << 16; x += 3) numbers.AddAround(x);
  for (int i = 0; i < 300000; ++i) {
    const uint64_t root = random() >> (39 + random() % 25);
    numbers.AddAround(root * root);
    numbers.AddAround(random() >> (14 + random() % 50));
  }
  numbers.AddAround(kMaxRadicand);
  return numbers.Padded();
}

template <typename T, typename Run, typename Define>
bool AreEqual(const char* isa, const char* what, const std::vector<T>& numbers, const Run& run,
              const Define& define) {
  for (size_t i = 0; i < numbers.size(); i += kNumbers) {
    T found[kNumbers];
    run(&numbers[i], found);
    for (size_t j = 0; j < kNumbers; ++j) {
      const T x = numbers[i + j];
      const uint64_t expected = static_cast<uint64_t>(define(x));
      if (found[j] == expected) continue;
      printf("%s: the %s of %" PRIu64 " is %" PRIu64 ", expected %" PRIu64 "\n", isa, what,
             uint64_t{x}, uint64_t{found[j]}, expected);
      return false;
    }
  }
  return true;
}

bool IsRight(const Primitives& isa) {
  const std::vector<uint32_t> divisors = Divisors(isa.max_divisor);
  const auto bit_length = [](uint64_t x) { return BitLength(x); };
  const auto reciprocal = [](uint64_t x) { return Reciprocal(x, BitLength(x)); };
  const bool is_right = AreEqual(isa.name, "bit length", divisors, isa.bit_lengths, bit_length) &&
                        AreEqual(isa.name, "reciprocal", divisors, isa.reciprocals, reciprocal);
  if (isa.integer_sqrts == nullptr) return is_right;
  return is_right && AreEqual(isa.name, "root", Radicands(), isa.integer_sqrts, IntegerSqrt);
}

int Main() {
  for (const Primitives* isa : {&kAvx2Primitives, &kAvx512Primitives}) {
    if (!isa->supported()) continue;
    for (const int rounding : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
      fesetround(rounding);
      if (!IsRight(*isa)) return 1;
    }
    printf("%s\n", isa->name);
  }
  return 0;
}

}  // namespace
}  // namespace pqv

int main() { return pqv::Main(); }
