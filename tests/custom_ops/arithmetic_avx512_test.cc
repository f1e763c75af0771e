#include "kernels/common/arithmetic_avx512.h"

#include "kernels/common/cpu.h"
#include "tests/custom_ops/arithmetic_test.h"

namespace pqv {
namespace {

void FindBitLengths(const uint32_t* x, uint32_t* y) {
  _mm512_storeu_si512(y, avx512::BitLengths(_mm512_loadu_si512(x)));
}

void FindReciprocals(const uint32_t* x, uint32_t* y) {
  _mm512_storeu_si512(y, avx512::Reciprocals(_mm512_loadu_si512(x)));
}

void FindSqrts(const uint64_t* x, uint64_t* y) {
  for (size_t i = 0; i < kNumbers; i += 8) {
    _mm512_storeu_si512(y + i, avx512::IntegerSqrts(_mm512_loadu_si512(x + i)));
  }
}

}  // namespace

const Primitives kAvx512Primitives = {"avx512vnni",   CpuHasAvx512Vnni, UINT32_MAX,
                                      FindBitLengths, FindReciprocals,  FindSqrts};

}  // namespace pqv
