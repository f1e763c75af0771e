// The shared arithmetic of docs/ops.md on AVX-512 registers, for files built with AVX-512 flags.
//
// Packing instructions work on lanes of 128 bits. Vectors of int32 channels are therefore kept in
// an order ("tile order") that two packs turn into the natural one without any permutation:
//   four vectors, 64 channels: lane j of vector v holds channels 16 j + 4 v .. + 3,
//   two vectors,  32 channels: lane j of vector v holds channels  8 j + 4 v .. + 3.

#ifndef PQV_KERNELS_COMMON_ARITHMETIC_AVX512_H_
#define PQV_KERNELS_COMMON_ARITHMETIC_AVX512_H_

#include <immintrin.h>

#include "kernels/common/arithmetic.h"
#include "kernels/common/inline.h"
#include "kernels/common/requantizer.h"

namespace pqv {
namespace avx512 {

constexpr size_t kLanes32 = 16;  // int32 of a vector

// The first `count` of 64 lanes. count <= 64.
static PQV_INLINE __mmask64 FirstLanes(size_t count) {
  return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

// From natural order to tile order. With four vectors it is its own inverse.
template <size_t kVectors>
static PQV_INLINE void ToTileOrder(__m512i* x) {
  static_assert(kVectors == 2 || kVectors == 4, "see tile order");
  if constexpr (kVectors == 2) {
    const __m512i even = _mm512_shuffle_i32x4(x[0], x[1], 0x88);
    x[1] = _mm512_shuffle_i32x4(x[0], x[1], 0xDD);
    x[0] = even;
  } else {
    const __m512i a = _mm512_shuffle_i32x4(x[0], x[1], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(x[0], x[1], 0xEE);
    const __m512i c = _mm512_shuffle_i32x4(x[2], x[3], 0x44);
    const __m512i d = _mm512_shuffle_i32x4(x[2], x[3], 0xEE);
    x[0] = _mm512_shuffle_i32x4(a, c, 0x88);
    x[1] = _mm512_shuffle_i32x4(a, c, 0xDD);
    x[2] = _mm512_shuffle_i32x4(b, d, 0x88);
    x[3] = _mm512_shuffle_i32x4(b, d, 0xDD);
  }
}

template <size_t kVectors>
static PQV_INLINE void ToNaturalOrder(__m512i* x) {
  if constexpr (kVectors == 4) {
    ToTileOrder<4>(x);
  } else {
    const __m512i a = _mm512_shuffle_i32x4(x[0], x[1], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(x[0], x[1], 0xEE);
    x[0] = _mm512_shuffle_i32x4(a, a, 0xD8);
    x[1] = _mm512_shuffle_i32x4(b, b, 0xD8);
  }
}

// 16 * kVectors int32 in tile order.
template <size_t kVectors>
static PQV_INLINE void LoadTileOrder32(const int32_t* x, __m512i* vectors) {
  for (size_t v = 0; v < kVectors; ++v) vectors[v] = _mm512_loadu_si512(x + kLanes32 * v);
  ToTileOrder<kVectors>(vectors);
}

// 16 * kVectors int16, in the order in which vectors of tile order are packed in pairs.
template <size_t kVectors>
static PQV_INLINE void LoadTileOrder16(const int16_t* x, __m512i* vectors) {
  vectors[0] = _mm512_loadu_si512(x);
  if constexpr (kVectors == 4) {
    vectors[1] = _mm512_loadu_si512(x + 32);
    ToTileOrder<2>(vectors);
  }
}

// The order of the channels of a row's sums: how their constants are loaded, and how int8 get from
// the order that packs leave to that of memory, and back.
template <size_t kVectors>
struct TileOrder {
  static PQV_INLINE void Load32(const int32_t* x, __m512i* vectors) {
    LoadTileOrder32<kVectors>(x, vectors);
  }
  static PQV_INLINE void Load16(const int16_t* x, __m512i* vectors) {
    LoadTileOrder16<kVectors>(x, vectors);
  }
  static PQV_INLINE void ToNatural(__m512i* sums) { ToNaturalOrder<kVectors>(sums); }
  static PQV_INLINE __m512i ToMemory(__m512i packed) { return packed; }
  static PQV_INLINE __m512i ToPacked(__m512i bytes) { return bytes; }
};

// Natural order, which costs a permutation of the int8.
template <size_t kVectors>
struct NaturalOrder {
  static PQV_INLINE void Load32(const int32_t* x, __m512i* vectors) {
    for (size_t v = 0; v < kVectors; ++v) vectors[v] = _mm512_loadu_si512(x + kLanes32 * v);
  }
  static PQV_INLINE void Load16(const int16_t* x, __m512i* vectors) {
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t v = 0; v < kVectors / 2; ++v) {
      vectors[v] = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(x + 32 * v));
    }
  }
  static PQV_INLINE void ToNatural(__m512i*) {}
  static PQV_INLINE __m512i ToMemory(__m512i packed) {
    return _mm512_permutexvar_epi32(
        kVectors == 4 ? FourVectors()
                      : _mm512_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        packed);
  }
  static PQV_INLINE __m512i ToPacked(__m512i bytes) {
    return _mm512_permutexvar_epi32(
        kVectors == 4 ? FourVectors()
                      : _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        bytes);
  }

 private:
  static PQV_INLINE __m512i FourVectors() {
    return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  }
};

// round_shift with a shift per channel: right (with rounding) and left, of which one is zero.
// `rounding` may hold an addend, too. The left half saturates first, which docs/ops.md shows to be
// the same.
template <size_t kVectors>
struct Requantizer {
  __m512i rounding[kVectors];
  __m512i right[kVectors];
  __m512i left[kVectors];
  __m512i multiplier[kVectors / 2];
  bool has_left;
};

// Channels n .. n + 16 * kVectors - 1.
template <typename Order, size_t kVectors>
static PQV_INLINE void LoadRequantizer(const ChannelRequantizer& r, size_t n,
                                       Requantizer<kVectors>* requantizer) {
  Order::Load32(r.rounding + n, requantizer->rounding);
  Order::Load32(r.right_shift + n, requantizer->right);
  Order::Load32(r.left_shift + n, requantizer->left);
  Order::Load16(r.multiplier + n, requantizer->multiplier);
  requantizer->has_left = r.has_left_shift;
}

static PQV_INLINE __m512i ShiftLeft16(__m512i x, __m512i left) {
  const __m512i low = _mm512_set1_epi32(INT16_MIN);
  const __m512i high = _mm512_set1_epi32(INT16_MAX);
  return _mm512_sllv_epi32(_mm512_max_epi32(_mm512_min_epi32(x, high), low), left);
}

// Shifted sums, saturated to int16 and multiplied. vpmulhrsw is mul_q15; no multiplier is -32768,
// its only overflow.
template <size_t kVectors>
static PQV_INLINE void Multiply16(const Requantizer<kVectors>& r, const __m512i* t, __m512i* u) {
  for (size_t v = 0; v < kVectors; v += 2) {
    u[v / 2] = _mm512_mulhrs_epi16(_mm512_packs_epi32(t[v], t[v + 1]), r.multiplier[v / 2]);
  }
}

// Sums that have their rounding, shifted, saturated to int16 and multiplied.
template <size_t kVectors>
static PQV_INLINE void Requantize16(const Requantizer<kVectors>& r, const __m512i* sums,
                                    __m512i* u) {
  __m512i t[kVectors];
  for (size_t v = 0; v < kVectors; ++v) t[v] = _mm512_srav_epi32(sums[v], r.right[v]);
  if (__builtin_expect(r.has_left, false)) {
    for (size_t v = 0; v < kVectors; ++v) t[v] = ShiftLeft16(t[v], r.left[v]);
  }
  Multiply16<kVectors>(r, t, u);
}

// One shift in [-15, 30] for all lanes. Counts are vectors: a count in an xmm costs a shuffle.
struct UniformShifter {
  __m512i rounding;
  __m512i right;
  __m512i left;
  bool has_left;
};

static PQV_INLINE UniformShifter MakeUniformShifter(int shift) {
  return {_mm512_set1_epi32(shift > 0 ? 1 << (shift - 1) : 0),
          _mm512_set1_epi32(shift > 0 ? shift : 0), _mm512_set1_epi32(shift < 0 ? -shift : 0),
          shift < 0};
}

// The shift of a pair of vectors to which the rounding is already added, saturated to int16.
static PQV_INLINE __m512i Shift16(const UniformShifter& s, __m512i a, __m512i b) {
  a = _mm512_srav_epi32(a, s.right);
  b = _mm512_srav_epi32(b, s.right);
  if (__builtin_expect(s.has_left, false)) {
    a = ShiftLeft16(a, s.left);
    b = ShiftLeft16(b, s.left);
  }
  return _mm512_packs_epi32(a, b);
}

// round_shift and saturation to int16 of a pair of vectors.
static PQV_INLINE __m512i RoundShift16(const UniformShifter& s, __m512i a, __m512i b) {
  return Shift16(s, _mm512_add_epi32(a, s.rounding), _mm512_add_epi32(b, s.rounding));
}

// Of 16 vectors of 16 int32 each, what `combine` makes of the lanes of vector r, in lane r.
template <typename Combine>
static PQV_INLINE __m512i ReduceRows(const __m512i* x, const Combine& combine) {
  __m512i pairs[8];
#pragma GCC unroll 8
  for (size_t i = 0; i < 8; ++i) {
    pairs[i] = combine(_mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]),
                       _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]));
  }
  __m512i fours[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    fours[i] = combine(_mm512_unpacklo_epi64(pairs[2 * i], pairs[2 * i + 1]),
                       _mm512_unpackhi_epi64(pairs[2 * i], pairs[2 * i + 1]));
  }
  __m512i eights[2];
#pragma GCC unroll 2
  for (size_t i = 0; i < 2; ++i) {
    eights[i] = combine(_mm512_shuffle_i32x4(fours[2 * i], fours[2 * i + 1], 0x88),
                        _mm512_shuffle_i32x4(fours[2 * i], fours[2 * i + 1], 0xDD));
  }
  return combine(_mm512_shuffle_i32x4(eights[0], eights[1], 0x88),
                 _mm512_shuffle_i32x4(eights[0], eights[1], 0xDD));
}

static PQV_INLINE __m512i SumRows(const __m512i* x) {
  return ReduceRows(x, [](__m512i a, __m512i b) PQV_LAMBDA { return _mm512_add_epi32(a, b); });
}

// Divisions and roots by floating point, which is exact here: what is rounded is far from every
// integer that it is not equal to, however the caller has set the rounding.

// bit_length of 16 uint32 > 0.
static PQV_INLINE __m512i BitLengths(__m512i x) {
  const __m512 rounded_down = _mm512_cvt_roundepu32_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  return _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_getexp_ps(rounded_down)), _mm512_set1_epi32(1));
}

// reciprocal(x, bit_length) of 8 uint32 > 0. A quotient is below 2^16, and 2^-32 or more from the
// next integer; float64 has it to 2^-36.
static PQV_INLINE __m256i Reciprocals8(__m256i x) {
  const __m512d divisor = _mm512_cvtepu32_pd(x);
  const __m512d power = _mm512_scalef_pd(_mm512_set1_pd(1 << 15), _mm512_getexp_pd(divisor));
  const __m256i quotient = _mm512_cvttpd_epi32(_mm512_div_pd(power, divisor));
  return _mm256_min_epi32(quotient, _mm256_set1_epi32(INT16_MAX));
}

// reciprocal(x, bit_length(x)) of 16 uint32 > 0.
static PQV_INLINE __m512i Reciprocals(__m512i x) {
  const __m256i low = Reciprocals8(_mm512_castsi512_si256(x));
  const __m256i high = Reciprocals8(_mm512_extracti64x4_epi64(x, 1));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// floor(sqrt(x)) of 8 uint64 < 2^50. A root is below 2^25, and 2^-26 or more below the next
// integer; float64 has it to 2^-28.
static PQV_INLINE __m512i IntegerSqrts(__m512i x) {
  return _mm512_cvttpd_epi64(_mm512_sqrt_pd(_mm512_cvtepu64_pd(x)));
}

// narrow: the limits of an output of y_bits.
struct Limits {
  __m512i low;
  __m512i high;
};

static PQV_INLINE Limits MakeLimits(int y_bits) {
  const int limit = 1 << (y_bits - 1);
  return {_mm512_set1_epi8(static_cast<char>(-limit)),
          _mm512_set1_epi8(static_cast<char>(limit - 1))};
}

// u * 512 / 2^15 rounds exactly as round_shift(u, 6) does, without its overflow.
constexpr int16_t kRound6 = 1 << (15 - kFractionBits);

static PQV_INLINE __m512i Round6(__m512i u) {
  return _mm512_mulhrs_epi16(u, _mm512_set1_epi16(kRound6));
}

// narrow of 16 * kVectors values, in natural order; 32 of them are in the lower half.
template <size_t kVectors>
static PQV_INLINE __m512i Narrow16(const __m512i* u, const Limits& limits) {
  __m512i y;
  if constexpr (kVectors == 4) {
    y = _mm512_packs_epi16(Round6(u[0]), Round6(u[1]));
  } else {
    y = _mm512_castsi256_si512(_mm512_cvtsepi16_epi8(Round6(u[0])));
  }
  return _mm512_min_epi8(_mm512_max_epi8(y, limits.low), limits.high);
}

// 256 times int8 values in natural order, as int16 in the order of packed pairs.
template <size_t kVectors>
static PQV_INLINE void Widen256(__m512i x, __m512i* wide) {
  if constexpr (kVectors == 4) {
    wide[0] = _mm512_unpacklo_epi8(_mm512_setzero_si512(), x);
    wide[1] = _mm512_unpackhi_epi8(_mm512_setzero_si512(), x);
  } else {
    wide[0] = _mm512_slli_epi16(_mm512_cvtepi8_epi16(_mm512_castsi512_si256(x)), 8);
  }
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_ARITHMETIC_AVX512_H_
