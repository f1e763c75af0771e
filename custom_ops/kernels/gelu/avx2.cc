#include <immintrin.h>

#include "kernels/gelu/gelu.h"

namespace pqv {
namespace avx2 {
namespace {

constexpr size_t kVector = 32;
constexpr size_t kSlice = 16;  // entries that one vpshufb looks up
constexpr size_t kSlices = 8;  // of one half of the table

// One half of the table, for 128 indices. vpshufb gives zero where an index is negative, so slice i
// answers for every index from 16 * i on: each slice is stored as its difference (exclusive or)
// from the one before, and the answers of slices 0 .. i add up to slice i alone.
struct Half {
  __m256i slice[kSlices];
};

Half Prepare(const int8_t* entries) {
  Half half;
  __m256i previous = _mm256_setzero_si256();
  for (size_t i = 0; i < kSlices; ++i) {
    const __m256i slice = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(entries + kSlice * i)));
    half.slice[i] = _mm256_xor_si256(slice, previous);
    previous = slice;
  }
  return half;
}

// half[index], 0 for a negative index, which the saturating subtraction keeps negative.
__m256i LookUp(const Half& half, __m256i index) {
  __m256i y = _mm256_shuffle_epi8(half.slice[0], index);
  for (size_t i = 1; i < kSlices; ++i) {
    index = _mm256_subs_epi8(index, _mm256_set1_epi8(kSlice));
    y = _mm256_xor_si256(y, _mm256_shuffle_epi8(half.slice[i], index));
  }
  return y;
}

}  // namespace

void RunGelu(const int8_t* table, const GeluBlock& block) {
  const Half negative = Prepare(table);
  const Half positive = Prepare(table + 128);
  const __m256i sign = _mm256_set1_epi8(INT8_MIN);
  for (size_t row = 0; row < block.rows; ++row) {
    const int8_t* x = block.x + row * block.stride;
    int8_t* y = block.y + row * block.stride;
    size_t i = 0;
    for (; i + kVector <= block.width; i += kVector) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      const __m256i found =
          _mm256_or_si256(LookUp(negative, _mm256_xor_si256(bytes, sign)), LookUp(positive, bytes));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), found);
    }
    for (; i < block.width; ++i) y[i] = table[x[i] + 128];
  }
}

}  // namespace avx2
}  // namespace pqv
