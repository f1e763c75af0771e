#include "kernels/add/add.h"
#include "kernels/common/arithmetic_avx2.h"

namespace pqv {
namespace avx2 {
namespace {

// 16 codes * 256 * their multipliers, rounded; no multiplier is -32768.
PQV_INLINE __m256i Link(const int8_t* codes, const int16_t* multiplier, size_t count) {
  const __m256i x = _mm256_slli_epi16(_mm256_cvtepi8_epi16(LoadPartial8(codes, count)), 8);
  return _mm256_mulhrs_epi16(x, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(multiplier)));
}

PQV_INLINE void AddChannels(const IntAdd& op, const int8_t* a, const int8_t* b, size_t c,
                            size_t count, int8_t* y) {
  const __m256i u = _mm256_adds_epi16(Link(a + c, op.a_multiplier + c, count),
                                      Link(b + c, op.b_multiplier + c, count));
  StorePartial8(y + c, Narrow16(u, op.y_bits), count);
}

}  // namespace

void RunAdd(const IntAdd& op, const AddRows& rows) {
  const IntAdd copy = op;  // which stores of int8 cannot change
  const size_t channels = copy.channels;
  size_t b_row = rows.begin % rows.b_rows;
  for (size_t row = rows.begin; row < rows.end; ++row) {
    const int8_t* const a = rows.a + row * channels;
    const int8_t* const b = rows.b + b_row * channels;
    int8_t* const y = rows.y + row * channels;
    size_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) AddChannels(copy, a, b, c, kLanes, y);
    if (c < channels) AddChannels(copy, a, b, c, channels - c, y);
    if (++b_row == rows.b_rows) b_row = 0;
  }
}

}  // namespace avx2
}  // namespace pqv
