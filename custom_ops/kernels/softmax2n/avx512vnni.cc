#include "kernels/softmax2n/avx512.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kLanes = 64;  // places per step

struct Parameters {
  explicit Parameters(const Softmax2n& softmax)
      : op(softmax),
        shifter(MakeUniformShifter(op.shift)),
        multiplier(_mm512_set1_epi16(static_cast<int16_t>(op.multiplier))),
        lowest_max(LowestNarrowMax(op)) {}

  const Softmax2n& op;
  UniformShifter shifter;
  __m512i multiplier;
  int16_t lowest_max;
};

int32_t Max(const int32_t* x, size_t n) {
  __m512i max = _mm512_set1_epi32(INT32_MIN);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) max = _mm512_max_epi32(max, _mm512_loadu_si512(x + i));
  const __mmask16 rest = static_cast<__mmask16>(FirstLanes(n - i));
  max = _mm512_mask_max_epi32(max, rest, max, _mm512_maskz_loadu_epi32(rest, x + i));
  return _mm512_reduce_max_epi32(max);
}

// Distances of 32 places, as packs leave them.
__m512i Distance32(const Parameters& p, __m512i origin, const int32_t* x, __mmask32 lanes) {
  const __m512i low = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(lanes), x);
  const __m512i high = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(lanes >> 16), x + 16);
  const __m512i difference =
      Shift16(p.shifter, _mm512_sub_epi32(origin, low), _mm512_sub_epi32(origin, high));
  return _mm512_mulhrs_epi16(difference, p.multiplier);
}

template <bool kLog2>
void RunRow(const Parameters& p, const int32_t* x, size_t n, uint8_t* y) {
  const __m512i origin = _mm512_set1_epi32(DifferenceOrigin(p.op.shift, Max(x, n)));
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask64 lanes = FirstLanes(n - i);
    const __m512i low = Distance32(p, origin, x + i, static_cast<__mmask32>(lanes));
    const bool has_high = n - i > kLanes / 2;  // else the half of all this is enough
    const __m512i high =
        has_high ? Distance32(p, origin, x + i + 32, static_cast<__mmask32>(lanes >> 32)) : low;
    const __m512i weights = NaturalOrder<4>::ToMemory(SoftmaxWeights<kLog2>(low, high));
    _mm512_mask_storeu_epi8(y + i, lanes, weights);
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

// 64 int16: places 0 .. 31 in low and 32 .. 63 in high.
struct Int16x64 {
  __m512i low;
  __m512i high;
};

// What packs of two vectors interleave, one after the other.
__m512i Deinterleave(__m512i x) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), x);
}

// t without its bias.
__m512i Shifted32(const Parameters& p, const int32_t* x, __mmask32 lanes) {
  const __m512i low = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(lanes), x);
  const __m512i high = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(lanes >> 16), x + 16);
  return Deinterleave(RoundShift16(p.shifter, low, high));
}

Int16x64 Shifted(const Parameters& p, const BiasRow& row, size_t i, __mmask64 kept) {
  return {Shifted32(p, row.x + i, static_cast<__mmask32>(kept)),
          Shifted32(p, row.x + i + 32, static_cast<__mmask32>(kept >> 32))};
}

// t, the smallest one where excluded: it leaves the maximum alone.
Int16x64 AddBias(const Int16x64& shifted, const BiasRow& row, size_t i, __mmask64 kept) {
  const __m512i lowest = _mm512_set1_epi16(INT16_MIN);
  const __mmask32 low = static_cast<__mmask32>(kept);
  const __mmask32 high = static_cast<__mmask32>(kept >> 32);
  return {
      _mm512_mask_adds_epi16(lowest, low, shifted.low, _mm512_maskz_loadu_epi16(low, row.bias + i)),
      _mm512_mask_adds_epi16(lowest, high, shifted.high,
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

// In int16; rows for which that is not enough are left to the scalar kernel.
template <bool kLog2>
void RunBiasRow(const Parameters& p, const BiasRow& row, uint8_t* y) {
  __m512i max = _mm512_set1_epi16(INT16_MIN);
  __m512i magnitudes = _mm512_setzero_si512();
  for (size_t i = 0; i < row.n; i += kLanes) {
    const __mmask64 kept = Kept(row, i);
    const Int16x64 shifted = Shifted(p, row, i, kept);
    magnitudes = MaxMagnitude(MaxMagnitude(magnitudes, shifted.low), shifted.high);
    const Int16x64 t = AddBias(shifted, row, i, kept);
    max = _mm512_max_epi16(max, _mm512_max_epi16(t.low, t.high));
  }
  max = BroadcastMax16(max);
  const int16_t row_max = static_cast<int16_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(max)));
  if (!AreInRange(magnitudes) || row_max < p.lowest_max || row_max == INT16_MAX) {
    return scalar::RunSoftmax2nBias(p.op, row.x, row.bias, row.mask, 1, row.n, y);
  }
  for (size_t i = 0; i < row.n; i += kLanes) {
    const __mmask64 kept = Kept(row, i);
    const Int16x64 t = AddBias(Shifted(p, row, i, kept), row, i, kept);
    const __m512i weights = Deinterleave(SoftmaxWeights<kLog2>(
        Distance(max, t.low, p.multiplier), Distance(max, t.high, p.multiplier)));
    _mm512_mask_storeu_epi8(y + i, FirstLanes(row.n - i), _mm512_maskz_mov_epi8(kept, weights));
  }
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
    run_row(parameters, {x + offset, bias + offset, mask + offset, n}, y + offset);
  }
}

}  // namespace avx512vnni
}  // namespace pqv
