#include "kernels/common/arithmetic_avx2.h"

#include "kernels/common/cpu.h"
#include "tests/custom_ops/arithmetic_test.h"

namespace pqv {
namespace {

constexpr size_t kLanes = 8;

__m256i Load(const uint32_t* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }
void Store(uint32_t* y, __m256i x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), x); }

void FindBitLengths(const uint32_t* x, uint32_t* y) {
  for (size_t i = 0; i < kNumbers; i += kLanes) Store(y + i, avx2::BitLengths(Load(x + i)));
}

void FindReciprocals(const uint32_t* x, uint32_t* y) {
  for (size_t i = 0; i < kNumbers; i += kLanes) {
    const __m256i numbers = Load(x + i);
    Store(y + i, avx2::Reciprocals(numbers, avx2::BitLengths(numbers)));
  }
}

}  // namespace

const Primitives kAvx2Primitives = {"avx2",         CpuHasAvx2,      (1u << 30) - 1,
                                    FindBitLengths, FindReciprocals, nullptr};

}  // namespace pqv
