#include <immintrin.h>

#include "kernels/gelu/gelu.h"

namespace pqv {
namespace avx2 {
namespace {

constexpr size_t kVector = 32;
constexpr size_t kSlice = 16;  // entries that one vpshufb looks up

// Sixteen slices of the table, each looked up for all lanes: vpshufb gives zero where the index
// has bit 7 set, which the saturating addition sets outside of the slice.
__m256i LookUp(const int8_t* table, __m256i x) {
  const __m256i outside = _mm256_set1_epi8(0x70);
  const __m256i slice = _mm256_set1_epi8(kSlice);
  __m256i index = _mm256_xor_si256(x, _mm256_set1_epi8(INT8_MIN));  // x + 128
  __m256i y = _mm256_setzero_si256();
  for (size_t first = 0; first < kGeluTableSize; first += kSlice) {
    const __m256i entries = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + first)));
    const __m256i found = _mm256_shuffle_epi8(entries, _mm256_adds_epu8(index, outside));
    y = _mm256_or_si256(y, found);
    index = _mm256_sub_epi8(index, slice);
  }
  return y;
}

}  // namespace

void RunGelu(const int8_t* table, const int8_t* x, size_t count, int8_t* y) {
  size_t i = 0;
  for (; i + kVector <= count; i += kVector) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), LookUp(table, bytes));
  }
  for (; i < count; ++i) y[i] = table[x[i] + 128];
}

}  // namespace avx2
}  // namespace pqv
