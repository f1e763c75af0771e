#include <immintrin.h>

#include "kernels/common/cpu.h"
#include "kernels/gelu/gelu.h"

namespace pqv {
namespace avx512vnni {
namespace {

constexpr size_t kVector = 64;

// VPERMI2B looks up 128 entries at once. It came one generation after VNNI.
__attribute__((target("avx512vbmi"))) void RunVbmi(const int8_t* table, const int8_t* x,
                                                   size_t count, int8_t* y) {
  __m512i entries[4];
  for (size_t i = 0; i < 4; ++i) entries[i] = _mm512_loadu_si512(table + kVector * i);
  for (size_t i = 0; i < count; i += kVector) {
    const size_t rest = count - i;
    const __mmask64 lanes = rest >= kVector ? ~__mmask64{0} : (__mmask64{1} << rest) - 1;
    const __m512i index = _mm512_maskz_loadu_epi8(lanes, x + i);
    const __m512i negative = _mm512_permutex2var_epi8(entries[0], index, entries[1]);
    const __m512i positive = _mm512_permutex2var_epi8(entries[2], index, entries[3]);
    const __m512i found = _mm512_mask_mov_epi8(positive, _mm512_movepi8_mask(index), negative);
    _mm512_mask_storeu_epi8(y + i, lanes, found);
  }
}

}  // namespace

void RunGelu(const int8_t* table, const int8_t* x, size_t count, int8_t* y) {
  if (CpuHasAvx512Vbmi()) return RunVbmi(table, x, count, y);
  avx2::RunGelu(table, x, count, y);
}

}  // namespace avx512vnni
}  // namespace pqv
