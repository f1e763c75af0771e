#include "kernels/common/arithmetic_avx512.h"
#include "kernels/layer_norm/layer_norm.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kLanes = 32;                // channels per step of the statistics
constexpr size_t kBlockRows = 32;            // rows that share the constants of channels
constexpr size_t kMaxUint32Channels = 4095;  // C * 8 fits in int16, the sum of squares in uint32
// |C * x - S| <= sqrt(C - 1) * sqrt(V), and |C * x| <= sqrt(C * V) of an RMSNorm, so that
// t <= sqrt(C) * 2^10 + 1/2: it never saturates.
constexpr size_t kMaxUnsaturated = 1023;
static_assert(kMaxUint32Channels * 8 <= INT16_MAX &&
                  kMaxUint32Channels <= (uint64_t{1} << 32) / (1 << 20) - 1,
              "int16 factors, uint32 sums of squares");
static_assert((uint64_t{kMaxUint32Channels} << 32) + kMaxEpsilon < uint64_t{1} << 50,
              "IntegerSqrts");

// sigma of 8 rows from their S and Q.
__m256i Sigmas8(const LayerNorm& op, __m256i sum, __m256i square_sum) {
  const __m512i wide_sum = _mm512_cvtepi32_epi64(sum);
  const __m512i channels = _mm512_set1_epi64(static_cast<int64_t>(op.channels));
  const __m512i scaled = _mm512_mul_epu32(_mm512_cvtepu32_epi64(square_sum), channels);
  const __m512i variance =
      _mm512_add_epi64(_mm512_sub_epi64(scaled, _mm512_mul_epi32(wide_sum, wide_sum)),
                       _mm512_set1_epi64(op.epsilon));
  return _mm512_cvtepi64_epi32(_mm512_max_epu64(IntegerSqrts(variance), _mm512_set1_epi64(1)));
}

__m512i Sigmas(const LayerNorm& op, __m512i sum, __m512i square_sum) {
  const __m256i low = Sigmas8(op, _mm512_castsi512_si256(sum), _mm512_castsi512_si256(square_sum));
  const __m256i high =
      Sigmas8(op, _mm512_extracti64x4_epi64(sum, 1), _mm512_extracti64x4_epi64(square_sum, 1));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// What normalises 16 rows.
struct RowNormalizers {
  alignas(64) int32_t first[kLanes32];  // of C * x - S: what the shift rounds by, less S
  alignas(64) int32_t right[kLanes32];
  alignas(64) int32_t left[kLanes32];
  alignas(64) int32_t reciprocal[kLanes32];
  bool has_left;
};

RowNormalizers MakeNormalizers(__m512i sum, __m512i sigma) {
  RowNormalizers normalizers;
  const __m512i zero = _mm512_setzero_si512();
  const __m512i bit_length = BitLengths(sigma);
  const __m512i shift = _mm512_sub_epi32(bit_length, _mm512_set1_epi32(10));
  const __m512i right = _mm512_max_epi32(shift, zero);
  const __m512i left = _mm512_max_epi32(_mm512_sub_epi32(zero, shift), zero);
  const __m512i rounding = _mm512_srli_epi32(_mm512_sllv_epi32(_mm512_set1_epi32(1), right), 1);
  _mm512_store_si512(normalizers.first, _mm512_sub_epi32(rounding, sum));
  _mm512_store_si512(normalizers.right, right);
  _mm512_store_si512(normalizers.left, left);
  _mm512_store_si512(normalizers.reciprocal, Reciprocals(sigma));
  normalizers.has_left = _mm512_test_epi32_mask(left, left) != 0;
  return normalizers;
}

// S and Q of a row, a part in each lane.
template <Norm kNorm>
void AddRow(const LayerNorm& op, const int8_t* row, __m512i* sum, __m512i* square_sum) {
  *sum = _mm512_setzero_si512();
  *square_sum = _mm512_setzero_si512();
  for (size_t c = 0; c < op.channels; c += kLanes) {
    const __mmask32 lanes = static_cast<__mmask32>(FirstLanes(op.channels - c));
    const __m512i step = _mm512_loadu_si512(op.step + c);
    const __m512i value = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(lanes, row + c));
    const __m512i scaled = _mm512_mullo_epi16(value, step);
    if (kNorm == Norm::kLayer) *sum = _mm512_dpwssd_epi32(*sum, value, step);
    *square_sum = _mm512_dpwssd_epi32(*square_sum, scaled, scaled);
  }
}

// Those of kBlockRows rows or fewer. Their square roots and divisions are long
// chains, which run side by side.
template <Norm kNorm>
void FindNormalizers(const LayerNorm& op, const int8_t* x, size_t rows,
                     RowNormalizers* normalizers) {
  const size_t parts = CeilDivide(rows, kLanes32);
  __m512i sums[kBlockRows];
  __m512i square_sums[kBlockRows];
  for (size_t r = 0; r < rows; ++r) {
    AddRow<kNorm>(op, x + r * op.channels, &sums[r], &square_sums[r]);
  }
  for (size_t r = rows; r < parts * kLanes32; ++r) {
    sums[r] = square_sums[r] = _mm512_setzero_si512();
  }
  __m512i sum[kBlockRows / kLanes32];
  __m512i sigma[kBlockRows / kLanes32];
  for (size_t i = 0; i < parts; ++i) {
    sum[i] = kNorm == Norm::kLayer ? SumRows(sums + i * kLanes32) : _mm512_setzero_si512();
    sigma[i] = Sigmas(op, sum[i], SumRows(square_sums + i * kLanes32));
  }
  for (size_t i = 0; i < parts; ++i) normalizers[i] = MakeNormalizers(sum[i], sigma[i]);
}

// The constants of 16 * kVectors channels, in natural order but for int16, which are in that of
// packed pairs of vectors.
template <Norm kNorm, size_t kVectors>
struct Channels {
  __m512i factor[kVectors];  // C * 2^exponent
  __m512i rounding[kVectors];
  __m512i right[kVectors];
  __m512i left[kVectors];
  __m512i multiplier[kVectors / 2];
  __m512i bias[kVectors / 2];
  bool has_left;

  Channels(const LayerNorm& op, size_t c) : has_left(op.requantizer.has_left_shift) {
    const __m512i count = _mm512_set1_epi32(static_cast<int32_t>(op.channels));
    const ChannelRequantizer& r = op.requantizer;
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t first = c + kLanes32 * v;
      const __m256i step = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(op.step + first));
      factor[v] = _mm512_mullo_epi32(_mm512_cvtepu16_epi32(step), count);
      rounding[v] = _mm512_loadu_si512(r.rounding + first);
      right[v] = _mm512_loadu_si512(r.right_shift + first);
      left[v] = _mm512_loadu_si512(r.left_shift + first);
    }
    const __m512i pairs = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t v = 0; v < kVectors; v += 2) {
      const size_t first = c + kLanes32 * v;
      multiplier[v / 2] = _mm512_permutexvar_epi64(pairs, _mm512_loadu_si512(r.multiplier + first));
      if (kNorm == Norm::kRms) continue;
      bias[v / 2] = _mm512_permutexvar_epi64(pairs, _mm512_loadu_si512(op.bias + first));
    }
  }
};

// Packed bytes of 16 * kVectors channels, in natural order.
template <size_t kVectors>
__m512i Pack(const __m512i* u) {
  const __m512i y = _mm512_packs_epi16(u[0], u[kVectors / 2 - 1]);
  return _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), y);
}

template <Norm kNorm, size_t kVectors, bool kSaturates>
void RunChannels(const LayerNorm& op, const RowNormalizers* normalizers, size_t c, const int8_t* x,
                 size_t rows, const Limits& limits, int8_t* y) {
  const Channels<kNorm, kVectors> channels(op, c);
  const __mmask64 lanes = FirstLanes(Min(op.channels - c, kLanes32 * kVectors));
  for (size_t r = 0; r < rows; ++r) {
    const int8_t* const row = x + r * op.channels + c;
    const RowNormalizers& part = normalizers[r / kLanes32];
    const __m512i first = _mm512_set1_epi32(part.first[r % kLanes32]);
    const __m512i right = _mm512_set1_epi32(part.right[r % kLanes32]);
    const __m512i left = _mm512_set1_epi32(part.left[r % kLanes32]);
    const __m512i reciprocal = _mm512_set1_epi32(part.reciprocal[r % kLanes32]);
    __m512i n[kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      const __m128i bytes =
          _mm_maskz_loadu_epi8(static_cast<__mmask16>(lanes >> (kLanes32 * v)), row + kLanes32 * v);
      // x and t are int16 in int32, whose upper halves meet those of the factors, zeros.
      __m512i t = _mm512_dpwssd_epi32(first, _mm512_cvtepi8_epi32(bytes), channels.factor[v]);
      t = _mm512_srav_epi32(t, right);
      if (__builtin_expect(part.has_left, false)) t = _mm512_sllv_epi32(t, left);
      if constexpr (kSaturates) {
        t = _mm512_max_epi32(_mm512_min_epi32(t, _mm512_set1_epi32(INT16_MAX)),
                             _mm512_set1_epi32(INT16_MIN));
      }
      n[v] = _mm512_srav_epi32(_mm512_dpwssd_epi32(channels.rounding[v], t, reciprocal),
                               channels.right[v]);
      if (__builtin_expect(channels.has_left, false)) n[v] = ShiftLeft16(n[v], channels.left[v]);
    }
    __m512i u[kVectors / 2];
    for (size_t v = 0; v < kVectors; v += 2) {
      __m512i scaled =
          _mm512_mulhrs_epi16(_mm512_packs_epi32(n[v], n[v + 1]), channels.multiplier[v / 2]);
      if (kNorm == Norm::kLayer) scaled = _mm512_adds_epi16(scaled, channels.bias[v / 2]);
      u[v / 2] = Round6(scaled);
    }
    const __m512i bytes =
        _mm512_min_epi8(_mm512_max_epi8(Pack<kVectors>(u), limits.low), limits.high);
    _mm512_mask_storeu_epi8(y + r * op.channels + c, lanes, bytes);
  }
}

template <Norm kNorm, bool kSaturates>
void RunBlock(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  constexpr size_t kWide = 4 * kLanes32;
  const Limits limits = MakeLimits(op.y_bits);
  RowNormalizers normalizers[kBlockRows / kLanes32];
  FindNormalizers<kNorm>(op, x, rows, normalizers);
  for (size_t c = 0; c < op.channels; c += kWide) {
    if (op.channels - c > kWide / 2) {
      RunChannels<kNorm, 4, kSaturates>(op, normalizers, c, x, rows, limits, y);
    } else {
      RunChannels<kNorm, 2, kSaturates>(op, normalizers, c, x, rows, limits, y);
    }
  }
}

template <Norm kNorm>
void RunRows(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  const auto run_block =
      op.channels > kMaxUnsaturated ? RunBlock<kNorm, true> : RunBlock<kNorm, false>;
  for (size_t row = 0; row < rows; row += kBlockRows) {
    const size_t offset = row * op.channels;
    run_block(op, x + offset, Min(rows - row, kBlockRows), y + offset);
  }
}

}  // namespace

void RunNorm(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  if (op.channels > kMaxUint32Channels) return avx2::RunNorm(op, x, rows, y);
  const auto run_rows = op.norm == Norm::kLayer ? RunRows<Norm::kLayer> : RunRows<Norm::kRms>;
  run_rows(op, x, rows, y);
}

}  // namespace avx512vnni
}  // namespace pqv
