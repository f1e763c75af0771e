#include "kernels/softmax2n/avx512.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kLanes = 64;  // places per step

// 64 int16: places 0 .. 31 in low and 32 .. 63 in high. Distances are differences of them read as
// uint16.
struct Int16x64 {
  __m512i low;
  __m512i high;
};

// What packs of two vectors interleave, one after the other.
__m512i Deinterleave(__m512i x) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), x);
}

__m512i Logits32(const LogitsRequantizer& r, const int32_t* x, __mmask32 lanes) {
  const __m512i low = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(lanes), x);
  const __m512i high = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(lanes >> 16), x + 16);
  const __m512i rounding = r.shifter.rounding;
  return Deinterleave(
      RequantizeRounded(r, _mm512_add_epi32(low, rounding), _mm512_add_epi32(high, rounding)));
}

Int16x64 Logits(const LogitsRequantizer& r, const int32_t* x, __mmask64 lanes) {
  return {Logits32(r, x, static_cast<__mmask32>(lanes)),
          Logits32(r, x + 32, static_cast<__mmask32>(lanes >> 32))};
}

template <bool kLog2>
__m512i Weights(__m512i max, Int16x64 z) {
  return Deinterleave(
      SoftmaxWeights<kLog2>(_mm512_sub_epi16(max, z.low), _mm512_sub_epi16(max, z.high)));
}

int32_t Max(const int32_t* x, size_t n) {
  __m512i max = _mm512_set1_epi32(INT32_MIN);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) max = _mm512_max_epi32(max, _mm512_loadu_si512(x + i));
  const __mmask16 rest = static_cast<__mmask16>(FirstLanes(n - i));
  max = _mm512_mask_max_epi32(max, rest, max, _mm512_maskz_loadu_epi32(rest, x + i));
  return _mm512_reduce_max_epi32(max);
}

template <bool kLog2>
void RunRow(const LogitsRequantizer& r, const int32_t* x, size_t n, uint8_t* y) {
  const __m512i max = _mm512_set1_epi32(Max(x, n));
  // requantize never falls, so the largest input has the largest z.
  const __m512i rounded = _mm512_add_epi32(max, r.shifter.rounding);
  const __m512i max_z = RequantizeRounded(r, rounded, rounded);
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask64 lanes = FirstLanes(n - i);
    const __m512i low = Logits32(r, x + i, static_cast<__mmask32>(lanes));
    const bool has_high = n - i > kLanes / 2;  // else the half of all this is enough
    const Int16x64 z = {
        low, has_high ? Logits32(r, x + i + 32, static_cast<__mmask32>(lanes >> 32)) : low};
    _mm512_mask_storeu_epi8(y + i, lanes, Weights<kLog2>(max_z, z));
  }
}

// One row of IntSoftmax2nBias.
struct BiasRow {
  const int32_t* x;
  const int16_t* bias;
  const uint8_t* mask;
  size_t n;
};

__mmask64 Kept(const BiasRow& row, size_t i) {
  const __mmask64 lanes = FirstLanes(row.n - i);
  const __m512i mask = _mm512_maskz_loadu_epi8(lanes, row.mask + i);
  return _mm512_mask_testn_epi8_mask(lanes, mask, mask);
}

// z, the smallest one where excluded: it leaves the maximum alone.
Int16x64 BiasedLogits(const LogitsRequantizer& r, const BiasRow& row, size_t i, __mmask64 kept) {
  const Int16x64 z = Logits(r, row.x + i, kept);
  const __m512i lowest = _mm512_set1_epi16(INT16_MIN);
  const __mmask32 low = static_cast<__mmask32>(kept);
  const __mmask32 high = static_cast<__mmask32>(kept >> 32);
  return {_mm512_mask_adds_epi16(lowest, low, z.low, _mm512_maskz_loadu_epi16(low, row.bias + i)),
          _mm512_mask_adds_epi16(lowest, high, z.high,
                                 _mm512_maskz_loadu_epi16(high, row.bias + i + 32))};
}

__m512i BroadcastMax16(__m512i x) {
  __m256i max = _mm256_max_epi16(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  max = _mm256_max_epi16(max, _mm256_permute4x64_epi64(max, 0x4E));
  max = _mm256_max_epi16(max, _mm256_shuffle_epi32(max, 0x4E));
  max = _mm256_max_epi16(max, _mm256_shuffle_epi32(max, 0xB1));
  max = _mm256_max_epi16(max, _mm256_shufflelo_epi16(max, 0xB1));
  return _mm512_broadcastw_epi16(_mm256_castsi256_si128(max));
}

template <bool kLog2>
void RunBiasRow(const LogitsRequantizer& r, const BiasRow& row, uint8_t* y) {
  __m512i max = _mm512_set1_epi16(INT16_MIN);
  for (size_t i = 0; i < row.n; i += kLanes) {
    const Int16x64 z = BiasedLogits(r, row, i, Kept(row, i));
    max = _mm512_max_epi16(max, _mm512_max_epi16(z.low, z.high));
  }
  max = BroadcastMax16(max);
  for (size_t i = 0; i < row.n; i += kLanes) {
    const __mmask64 kept = Kept(row, i);
    const __m512i weights = Weights<kLog2>(max, BiasedLogits(r, row, i, kept));
    _mm512_mask_storeu_epi8(y + i, FirstLanes(row.n - i), _mm512_maskz_mov_epi8(kept, weights));
  }
}

}  // namespace

void RunSoftmax2n(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y) {
  const LogitsRequantizer requantizer = MakeLogitsRequantizer(op);
  const auto run_row = op.log2 ? RunRow<true> : RunRow<false>;
  for (size_t row = 0; row < rows; ++row) run_row(requantizer, x + row * n, n, y + row * n);
}

void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y) {
  const LogitsRequantizer requantizer = MakeLogitsRequantizer(op);
  const auto run_row = op.log2 ? RunBiasRow<true> : RunBiasRow<false>;
  for (size_t offset = 0; offset < rows * n; offset += n) {
    run_row(requantizer, {x + offset, bias + offset, mask + offset, n}, y + offset);
  }
}

}  // namespace avx512vnni
}  // namespace pqv
