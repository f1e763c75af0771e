#include "kernels/common/arithmetic_avx2.h"
#include "kernels/softmax2n/softmax2n.h"

namespace pqv {
namespace avx2 {
namespace {

// Distances are int16 in [0, 32766].

__m128i Bytes(__m256i x) {
  return _mm_packus_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

__m128i PowersOfTwo(__m256i distance) {
  // x * 128 / 2^15 rounds as (x + 128) >> 8 does.
  const __m256i code = _mm256_mulhrs_epi16(distance, _mm256_set1_epi16(128));
  const __m128i powers = _mm_setr_epi8(static_cast<char>(128), 64, 32, 16, 8, 4, 2, 1,  //
                                       0, 0, 0, 0, 0, 0, 0, 0);
  return _mm_shuffle_epi8(powers, _mm_min_epu8(Bytes(code), _mm_set1_epi8(15)));
}

// 256 >> (distance >> 8) in each int16. A shuffle gives 0 for bytes of 128 and more: the low byte
// of the power is looked up by whole + 112, the high one, which is 1 where whole is 0, by
// whole + 120.
__m256i PowerOfWhole(__m256i distance) {
  const __m256i high_bytes = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15));
  const __m256i powers = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, static_cast<char>(128), 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0));
  const __m256i whole = _mm256_shuffle_epi8(distance, high_bytes);
  return _mm256_shuffle_epi8(powers, _mm256_add_epi8(whole, _mm256_set1_epi16(120 << 8 | 112)));
}

__m128i Uniform(__m256i distance) {
  const __m256i x = _mm256_slli_epi16(_mm256_and_si256(distance, _mm256_set1_epi16(255)), 7);
  const __m256i curve = _mm256_mulhrs_epi16(x, _mm256_set1_epi16(kSoftmaxCurve));
  const __m256i slope = _mm256_sub_epi16(_mm256_set1_epi16(kSoftmaxSlope), curve);
  const __m256i fraction =
      _mm256_sub_epi16(_mm256_set1_epi16(kSoftmaxOne), _mm256_mulhrs_epi16(x, slope));
  return Bytes(_mm256_mulhrs_epi16(fraction, PowerOfWhole(distance)));
}

template <bool kLog2>
__m128i Weights(__m256i distance) {
  return kLog2 ? PowersOfTwo(distance) : Uniform(distance);
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

struct Parameters {
  explicit Parameters(const Softmax2n& softmax)
      : op(softmax),
        requantizer(UniformRequantizer(op.shift, op.multiplier)),
        lowest_max(LowestNarrowMax(op)) {}

  const Softmax2n& op;
  Requantizer requantizer;
  int16_t lowest_max;
};

// Distances in the order that packs leave: places 4 .. 7 and 8 .. 11 are swapped.
PQV_INLINE __m256i Distance(const Requantizer& r, __m256i origin, Int32x16 x) {
  __m256i low = _mm256_srav_epi32(_mm256_sub_epi32(origin, x.low), r.shifter.right.low);
  __m256i high = _mm256_srav_epi32(_mm256_sub_epi32(origin, x.high), r.shifter.right.low);
  if (r.shifter.has_left) {
    const __m256i max = _mm256_set1_epi32(INT16_MAX);
    low = _mm256_sllv_epi32(_mm256_min_epi32(low, max), r.shifter.left.low);
    high = _mm256_sllv_epi32(_mm256_min_epi32(high, max), r.shifter.left.low);
  }
  return _mm256_mulhrs_epi16(_mm256_packs_epi32(low, high), r.multiplier);
}

template <bool kLog2>
void RunRow(const Parameters& p, const int32_t* x, size_t n, uint8_t* y) {
  const __m256i origin = _mm256_set1_epi32(DifferenceOrigin(p.op.shift, Max(x, n)));
  ForLanes(n, [&](size_t i, size_t count) PQV_LAMBDA {
    const __m256i distance = Distance(p.requantizer, origin, LoadPartial32(x + i, count));
    StorePartial8(y + i, _mm_shuffle_epi32(Weights<kLog2>(distance), 0xD8), count);
  });
}

// All ones in the bytes that the mask keeps; those beyond `count` are excluded.
__m128i LoadKept(const uint8_t* mask, size_t count) {
  const __m128i beyond =
      _mm_cmpgt_epi8(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                     _mm_set1_epi8(static_cast<char>(count) - 1));
  const __m128i excluded = _mm_or_si128(LoadPartial8(mask, count), beyond);
  return _mm_cmpeq_epi8(excluded, _mm_setzero_si128());
}

__m256i BroadcastMax16(__m256i x) {
  __m128i max = _mm_max_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  max = _mm_max_epi16(max, _mm_shuffle_epi32(max, 0x4E));
  max = _mm_max_epi16(max, _mm_shuffle_epi32(max, 0xB1));
  max = _mm_max_epi16(max, _mm_shufflelo_epi16(max, 0xB1));
  return _mm256_broadcastw_epi16(max);
}

// Whether no t of these magnitudes is at an end of int16.
bool AreInRange(__m256i magnitudes) {
  const __m256i above = _mm256_subs_epu16(magnitudes, _mm256_set1_epi16(INT16_MAX - 1));
  return _mm256_testz_si256(above, above) != 0;
}

// In int16; rows for which that is not enough are left to the scalar kernel.
template <bool kLog2>
void RunBiasRow(const Parameters& p, const int32_t* x, const int16_t* bias, const uint8_t* mask,
                size_t n, uint8_t* y) {
  __m256i max = _mm256_set1_epi16(INT16_MIN);
  __m256i magnitudes = _mm256_setzero_si256();
  ForLanes(n, [&](size_t i, size_t count) PQV_LAMBDA {
    const __m256i t = RoundShift16(p.requantizer.shifter, LoadPartial32(x + i, count));
    magnitudes = _mm256_max_epu16(magnitudes, _mm256_abs_epi16(t));
    const __m256i biased = _mm256_adds_epi16(t, LoadPartial16(bias + i, count));
    const __m256i kept = _mm256_cvtepi8_epi16(LoadKept(mask + i, count));
    max = _mm256_max_epi16(max, _mm256_blendv_epi8(_mm256_set1_epi16(INT16_MIN), biased, kept));
  });
  max = BroadcastMax16(max);
  const int16_t row_max = static_cast<int16_t>(_mm256_extract_epi16(max, 0));
  if (!AreInRange(magnitudes) || row_max < p.lowest_max || row_max == INT16_MAX) {
    return scalar::RunSoftmax2nBias(p.op, x, bias, mask, 1, n, y);
  }
  ForLanes(n, [&](size_t i, size_t count) PQV_LAMBDA {
    const __m256i t = RoundShift16(p.requantizer.shifter, LoadPartial32(x + i, count));
    const __m256i biased = _mm256_adds_epi16(t, LoadPartial16(bias + i, count));
    const __m256i distance =
        _mm256_mulhrs_epi16(_mm256_subs_epi16(max, biased), p.requantizer.multiplier);
    StorePartial8(y + i, _mm_and_si128(Weights<kLog2>(distance), LoadKept(mask + i, count)), count);
  });
}

}  // namespace

void RunSoftmax2n(const Softmax2n& op, const SoftmaxRows<int32_t>& shared_rows) {
  const SoftmaxRows<int32_t> rows = shared_rows;  // a copy, which stores of bytes cannot change
  const Parameters parameters(op);
  const auto run_row = op.log2 ? RunRow<true> : RunRow<false>;
  for (size_t row = 0; row < rows.rows; ++row) {
    run_row(parameters, rows.x + row * rows.x_stride, rows.n, rows.y + row * rows.y_stride);
  }
}

void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y) {
  const Parameters parameters(op);
  const auto run_row = op.log2 ? RunBiasRow<true> : RunBiasRow<false>;
  for (size_t offset = 0; offset < rows * n; offset += n) {
    run_row(parameters, x + offset, bias + offset, mask + offset, n, y + offset);
  }
}

}  // namespace avx2
}  // namespace pqv
