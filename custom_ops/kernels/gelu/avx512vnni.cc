#include <immintrin.h>

#include "kernels/common/cpu.h"
#include "kernels/gelu/gelu.h"

namespace pqv {
namespace avx512vnni {
namespace {

constexpr size_t kVector = 64;

// VPERMI2B looks up 128 entries at once. It came one generation after VNNI.
// The block is a copy, which stores of int8 cannot change.
__attribute__((target("avx512vbmi"))) void RunVbmi(const int8_t* table, GeluBlock block) {
  const __m512i a = _mm512_loadu_si512(table);
  const __m512i b = _mm512_loadu_si512(table + kVector);
  const __m512i c = _mm512_loadu_si512(table + 2 * kVector);
  const __m512i d = _mm512_loadu_si512(table + 3 * kVector);
  const auto look_up = [&](__m512i index) __attribute__((target("avx512vbmi"), always_inline)) {
    const __m512i negative = _mm512_permutex2var_epi8(a, index, b);
    const __m512i positive = _mm512_permutex2var_epi8(c, index, d);
    return _mm512_mask_mov_epi8(positive, _mm512_movepi8_mask(index), negative);
  };
  const size_t rest = block.width % kVector;
  const __mmask64 lanes = (__mmask64{1} << rest) - 1;
  for (; block.rows > 0; --block.rows) {
    size_t i = 0;
    for (; i + kVector <= block.width; i += kVector) {
      _mm512_storeu_si512(block.y + i, look_up(_mm512_loadu_si512(block.x + i)));
    }
    if (rest > 0) {
      const __m512i index = _mm512_maskz_loadu_epi8(lanes, block.x + i);
      _mm512_mask_storeu_epi8(block.y + i, lanes, look_up(index));
    }
    block.x += block.stride;
    block.y += block.stride;
  }
}

}  // namespace

void RunGelu(const int8_t* table, const GeluBlock& block) {
  if (CpuHasAvx512Vbmi()) return RunVbmi(table, block);
  avx2::RunGelu(table, block);
}

}  // namespace avx512vnni
}  // namespace pqv
