#include "kernels/common/fixed_point_avx2.h"
#include "kernels/softmax2n/softmax2n.h"

namespace pqv {
namespace avx2 {
namespace {

// Distances are int16 differences read as uint16.

__m128i PowersOfTwo(__m256i distance) {
  // The saturation at 65535 leaves a code of 255, whose power is 0 like that of 256.
  const __m256i code = _mm256_srli_epi16(_mm256_adds_epu16(distance, _mm256_set1_epi16(128)), 8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
  const __m128i powers = _mm_setr_epi8(static_cast<char>(128), 64, 32, 16, 8, 4, 2, 1,  //
                                       0, 0, 0, 0, 0, 0, 0, 0);
  return _mm_shuffle_epi8(powers, _mm_min_epu8(bytes, _mm_set1_epi8(15)));
}

// 256 >> min(whole, 9) in each int16: a table of bytes for whole > 0, where it fits one.
__m256i PowerOfWhole(__m256i whole) {
  const __m256i bytes = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, static_cast<char>(128), 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0));
  const __m256i clear_high_byte = _mm256_set1_epi16(INT16_MIN);
  const __m256i index = _mm256_or_si256(
      _mm256_min_epu16(whole, _mm256_set1_epi16(kSoftmaxMaxShift)), clear_high_byte);
  const __m256i is_zero = _mm256_cmpeq_epi16(whole, _mm256_setzero_si256());
  return _mm256_or_si256(_mm256_shuffle_epi8(bytes, index),
                         _mm256_and_si256(is_zero, _mm256_set1_epi16(256)));
}

__m128i Uniform(__m256i distance) {
  const __m256i whole = _mm256_srli_epi16(distance, 8);
  const __m256i x = _mm256_slli_epi16(_mm256_and_si256(distance, _mm256_set1_epi16(255)), 7);
  const __m256i curve = _mm256_mulhrs_epi16(x, _mm256_set1_epi16(kSoftmaxCurve));
  const __m256i slope = _mm256_sub_epi16(_mm256_set1_epi16(kSoftmaxSlope), curve);
  const __m256i fraction =
      _mm256_sub_epi16(_mm256_set1_epi16(kSoftmaxOne), _mm256_mulhrs_epi16(x, slope));
  const __m256i y = _mm256_mulhrs_epi16(fraction, PowerOfWhole(whole));
  return _mm_packus_epi16(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
}

int32_t Max(const int32_t* x, size_t n) {
  __m256i max = _mm256_set1_epi32(INT32_MIN);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    max = _mm256_max_epi32(max, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i)));
  }
  int32_t lanes[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), max);
  int32_t result = INT32_MIN;
  for (const int32_t lane : lanes) result = lane > result ? lane : result;
  for (; i < n; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

// function(first, count) for 16 elements of a row at a time. Of a row that has 16 or more the last
// ones are whole, too: they begin where some are done twice.
template <typename Function>
PQV_INLINE void ForLanes(size_t n, const Function& function) {
  if (n < kLanes) return function(0, n);
  for (size_t i = 0; i + kLanes <= n; i += kLanes) function(i, kLanes);
  if (n % kLanes != 0) function(n - kLanes, kLanes);
}

template <bool kLog2>
void RunRow(const Requantizer& requantizer, const int32_t* x, size_t n, uint8_t* y) {
  const __m256i max = _mm256_set1_epi32(Max(x, n));
  // requantize never falls, so the largest input has the largest z.
  const __m256i max_z = Requantize16(requantizer, {max, max});
  ForLanes(n, [&](size_t i, size_t count) PQV_LAMBDA {
    const __m256i z = Requantize16(requantizer, LoadPartial32(x + i, count));
    const __m256i distance = _mm256_sub_epi16(max_z, z);
    StorePartial8(y + i, kLog2 ? PowersOfTwo(distance) : Uniform(distance), count);
  });
}

inline __m256i LoadPartial16(const int16_t* x, size_t count) {
  if (count == kLanes) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  alignas(32) int16_t values[kLanes] = {};
  memcpy(values, x, count * sizeof(int16_t));
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(values));
}

// All ones in the bytes that the mask keeps; those beyond `count` are excluded.
__m128i LoadKept(const uint8_t* mask, size_t count) {
  const __m128i beyond =
      _mm_cmpgt_epi8(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                     _mm_set1_epi8(static_cast<char>(count) - 1));
  const __m128i excluded = _mm_or_si128(LoadPartial8(mask, count), beyond);
  return _mm_cmpeq_epi8(excluded, _mm_setzero_si128());
}

// z of 16 places, the smallest one where excluded: it leaves the maximum alone.
__m256i BiasedLogits(const Requantizer& requantizer, const int32_t* x, const int16_t* bias,
                     __m128i kept, size_t count) {
  const __m256i z = Requantize16(requantizer, LoadPartial32(x, count));
  return _mm256_blendv_epi8(_mm256_set1_epi16(INT16_MIN),
                            _mm256_adds_epi16(z, LoadPartial16(bias, count)),
                            _mm256_cvtepi8_epi16(kept));
}

__m256i BroadcastMax16(__m256i x) {
  __m128i max = _mm_max_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  max = _mm_max_epi16(max, _mm_shuffle_epi32(max, 0x4E));
  max = _mm_max_epi16(max, _mm_shuffle_epi32(max, 0xB1));
  max = _mm_max_epi16(max, _mm_shufflelo_epi16(max, 0xB1));
  return _mm256_broadcastw_epi16(max);
}

template <bool kLog2>
void RunBiasRow(const Requantizer& requantizer, const int32_t* x, const int16_t* bias,
                const uint8_t* mask, size_t n, uint8_t* y) {
  __m256i max = _mm256_set1_epi16(INT16_MIN);
  ForLanes(n, [&](size_t i, size_t count) PQV_LAMBDA {
    const __m128i kept = LoadKept(mask + i, count);
    max = _mm256_max_epi16(max, BiasedLogits(requantizer, x + i, bias + i, kept, count));
  });
  max = BroadcastMax16(max);
  ForLanes(n, [&](size_t i, size_t count) PQV_LAMBDA {
    const __m128i kept = LoadKept(mask + i, count);
    const __m256i distance =
        _mm256_sub_epi16(max, BiasedLogits(requantizer, x + i, bias + i, kept, count));
    const __m128i weights = kLog2 ? PowersOfTwo(distance) : Uniform(distance);
    StorePartial8(y + i, _mm_and_si128(weights, kept), count);
  });
}

}  // namespace

void RunSoftmax2n(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y) {
  const Requantizer requantizer = UniformRequantizer(op.shift, op.multiplier);
  const auto run_row = op.log2 ? RunRow<true> : RunRow<false>;
  for (size_t row = 0; row < rows; ++row) run_row(requantizer, x + row * n, n, y + row * n);
}

void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y) {
  const Requantizer requantizer = UniformRequantizer(op.shift, op.multiplier);
  const auto run_row = op.log2 ? RunBiasRow<true> : RunBiasRow<false>;
  for (size_t offset = 0; offset < rows * n; offset += n) {
    run_row(requantizer, x + offset, bias + offset, mask + offset, n, y + offset);
  }
}

}  // namespace avx2
}  // namespace pqv
