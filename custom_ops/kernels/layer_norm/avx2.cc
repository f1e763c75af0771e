#include "kernels/common/arithmetic_avx2.h"
#include "kernels/layer_norm/layer_norm.h"

namespace pqv {
namespace avx2 {
namespace {

constexpr size_t kVector = 8;                // int32
constexpr size_t kBlockRows = 2 * kVector;   // share what is loaded of a step's channels
constexpr size_t kFewRows = 3;               // are faster one by one
constexpr size_t kMaxUint32Channels = 4095;  // the sum of squares fits in uint32
static_assert(kMaxUint32Channels <= (uint64_t{1} << 32) / (1 << 20) - 1, "squares of 2^20");

PQV_INLINE __m256i Load16(const int16_t* x) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
}

// X * 2^exponent of 16 channels, the first `count` of which exist and the others are zero.
PQV_INLINE __m256i LoadScaled(const int8_t* x, __m256i step, size_t count) {
  return _mm256_mullo_epi16(_mm256_cvtepi8_epi16(LoadPartial8(x, count)), step);
}

// S and Q of a row, a part in each lane.
struct Sums {
  __m256i sum = _mm256_setzero_si256();
  // A lane adds at most 512 times two squares of 2^20, 2^30 in all.
  static_assert(kMaxNormChannels / kLanes * 2 <= 1 << 10, "int32 sums of squares");
  __m256i squares = _mm256_setzero_si256();

  template <Norm kNorm>
  PQV_INLINE void Add(__m256i x) {
    if (kNorm == Norm::kLayer) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, _mm256_set1_epi16(1)));
    }
    squares = _mm256_add_epi32(squares, _mm256_madd_epi16(x, x));
  }
};

template <Norm kNorm>
PQV_INLINE Sums AddRow(const LayerNorm& op, const int8_t* row) {
  Sums sums;
  size_t c = 0;
  for (; c + kLanes <= op.channels; c += kLanes) {
    sums.Add<kNorm>(LoadScaled(row + c, Load16(op.step + c), kLanes));
  }
  if (c < op.channels) {
    sums.Add<kNorm>(LoadScaled(row + c, Load16(op.step + c), op.channels - c));
  }
  return sums;
}

// What normalises the rows of a block.
struct RowNormalizers {
  alignas(32) int32_t first[kBlockRows];  // of C * x - S: what the shift rounds by, less S
  alignas(32) int32_t right[kBlockRows];
  alignas(32) int32_t left[kBlockRows];
  alignas(32) int32_t reciprocal[kBlockRows];
};

void Set(const RowStatistics& s, size_t row, RowNormalizers* normalizers) {
  const int shift = s.normal_shift;
  normalizers->first[row] = (shift > 0 ? 1 << (shift - 1) : 0) - s.sum;
  normalizers->right[row] = shift > 0 ? shift : 0;
  normalizers->left[row] = shift < 0 ? -shift : 0;
  normalizers->reciprocal[row] = s.reciprocal;
}

// floor(sqrt(x)) of four times 4 uint64 < 2^62, bit by bit: divisions of scalars take longer.
void IntegerSqrts(__m256i* x) {
  constexpr size_t kVectors = kBlockRows / 4;
  __m256i any = x[0];
  __m256i root[kVectors];
  for (size_t i = 0; i < kVectors; ++i) {
    any = _mm256_or_si256(any, x[i]);
    root[i] = _mm256_setzero_si256();
  }
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), any);
  const int bits = BitLength(lanes[0] | lanes[1] | lanes[2] | lanes[3] | 1);
  __m256i one = _mm256_set1_epi64x(int64_t{1} << ((bits - 1) & ~1));
  for (int bit = bits; bit > 0; bit -= 2) {
    for (size_t i = 0; i < kVectors; ++i) {
      const __m256i trial = _mm256_add_epi64(root[i], one);
      const __m256i exceeds = _mm256_cmpgt_epi64(trial, x[i]);
      x[i] = _mm256_sub_epi64(x[i], _mm256_andnot_si256(exceeds, trial));
      root[i] = _mm256_add_epi64(_mm256_srli_epi64(root[i], 1), _mm256_andnot_si256(exceeds, one));
    }
    one = _mm256_srli_epi64(one, 2);
  }
  for (size_t i = 0; i < kVectors; ++i) x[i] = root[i];
}

// V of the rows whose S and Q are in lanes 0, 2, 4 and 6.
__m256i Variances(const LayerNorm& op, __m256i sum, __m256i square_sum) {
  const __m256i channels = _mm256_set1_epi64x(static_cast<int64_t>(op.channels));
  const __m256i spread =
      _mm256_sub_epi64(_mm256_mul_epu32(square_sum, channels), _mm256_mul_epi32(sum, sum));
  return _mm256_add_epi64(spread, _mm256_set1_epi64x(op.epsilon));
}

void SetVector(__m256i sum, __m256i sigma, size_t row, RowNormalizers* normalizers) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i ones = _mm256_set1_epi32(1);
  const auto store = [row](int32_t* values, __m256i x) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(values + row), x);
  };
  sigma = _mm256_max_epi32(sigma, ones);
  const __m256i bit_length = BitLengths(sigma);
  const __m256i shift = _mm256_sub_epi32(bit_length, _mm256_set1_epi32(10));
  const __m256i right = _mm256_max_epi32(shift, zero);
  const __m256i rounding = _mm256_srli_epi32(_mm256_sllv_epi32(ones, right), 1);
  store(normalizers->first, _mm256_sub_epi32(rounding, sum));
  store(normalizers->right, right);
  store(normalizers->left, _mm256_max_epi32(_mm256_sub_epi32(zero, shift), zero));
  store(normalizers->reciprocal, Reciprocals(sigma, bit_length));
}

// Those of kBlockRows rows or fewer. Their square roots and divisions run side by side.
template <Norm kNorm>
void FindNormalizers(const LayerNorm& op, const int8_t* x, size_t rows,
                     RowNormalizers* normalizers) {
  __m256i sums[kBlockRows];
  __m256i squares[kBlockRows];
  for (size_t r = 0; r < kBlockRows; ++r) {
    const Sums row = r < rows ? AddRow<kNorm>(op, x + r * op.channels) : Sums();
    sums[r] = row.sum;
    squares[r] = row.squares;
  }
  __m256i sum[2];
  __m256i roots[4];
  for (size_t i = 0; i < 2; ++i) {
    sum[i] = kNorm == Norm::kLayer ? SumRows(sums + i * kVector) : _mm256_setzero_si256();
    const __m256i square_sum = SumRows(squares + i * kVector);
    roots[2 * i] = Variances(op, sum[i], square_sum);
    roots[2 * i + 1] =
        Variances(op, _mm256_srli_epi64(sum[i], 32), _mm256_srli_epi64(square_sum, 32));
  }
  IntegerSqrts(roots);
  for (size_t i = 0; i < 2; ++i) {
    const __m256i odd = _mm256_slli_epi64(roots[2 * i + 1], 32);
    SetVector(sum[i], _mm256_or_si256(roots[2 * i], odd), i * kVector, normalizers);
  }
}

// The same one by one, for rows of any length.
template <Norm kNorm>
void FindEachNormalizer(const LayerNorm& op, const int8_t* x, size_t rows,
                        RowNormalizers* normalizers) {
  for (size_t r = 0; r < rows; ++r) {
    const Sums sums = AddRow<kNorm>(op, x + r * op.channels);
    int32_t lanes[kVector];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), sums.squares);
    int64_t square_sum = 0;
    for (const int32_t lane : lanes) square_sum += lane;
    Set(FinishStatistics(op, Sum32(sums.sum), square_sum), r, normalizers);
  }
}

// What a node fixes, of 16 channels; int32 in unpack order.
struct Channels {
  __m256i step;
  Requantizer requantizer;

  Channels(const LayerNorm& op, size_t c)
      : step(Load16(op.step + c)), requantizer(LoadRequantizer(op.requantizer, c)) {
    RoundShifter& shifter = requantizer.shifter;
    shifter.rounding = ToUnpackOrder(shifter.rounding);
    shifter.right = ToUnpackOrder(shifter.right);
    shifter.left = ToUnpackOrder(shifter.left);
  }
};

PQV_INLINE __m256i Broadcast(int32_t x) { return _mm256_set1_epi32(x); }

// t of 16 channels of a row. C * x - S is below 2^17 where it is shifted to the left, by 9 at most.
PQV_INLINE __m256i Normalize(const RowNormalizers& rows, size_t row, Int32x16 x) {
  const __m256i first = Broadcast(rows.first[row]);
  const __m256i right = Broadcast(rows.right[row]);
  const __m256i left = Broadcast(rows.left[row]);
  x = Add32(x, {first, first});
  x = {_mm256_sllv_epi32(_mm256_srav_epi32(x.low, right), left),
       _mm256_sllv_epi32(_mm256_srav_epi32(x.high, right), left)};
  return _mm256_packs_epi32(x.low, x.high);
}

// Channels c .. c + 15 of a block of rows, `count` of which exist.
template <Norm kNorm>
PQV_INLINE void RunChannels(const LayerNorm& op, const RowNormalizers& normalizers, size_t c,
                            size_t count, const int8_t* x, size_t rows, int8_t* y) {
  const size_t stride = op.channels;
  const int y_bits = op.y_bits;
  const __m256i channel_count = _mm256_set1_epi16(static_cast<int16_t>(stride));
  const Channels channels(op, c);
  const __m256i bias = kNorm == Norm::kLayer ? Load16(op.bias + c) : _mm256_setzero_si256();
  for (size_t r = 0; r < rows; ++r) {
    const __m256i scaled = LoadScaled(x + r * stride + c, channels.step, count);
    const __m256i t = Normalize(normalizers, r, Multiply16(scaled, channel_count));
    const __m256i reciprocal = _mm256_set1_epi16(static_cast<int16_t>(normalizers.reciprocal[r]));
    __m256i u = RequantizeUnpacked16(channels.requantizer, Multiply16(t, reciprocal));
    if (kNorm == Norm::kLayer) u = _mm256_adds_epi16(u, bias);
    StorePartial8(y + r * stride + c, Narrow16(u, y_bits), count);
  }
}

template <Norm kNorm>
void RunRows(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  RowNormalizers normalizers;
  while (rows > 0) {
    const size_t count = rows < kBlockRows ? rows : kBlockRows;
    if (count <= kFewRows || op.channels > kMaxUint32Channels) {
      FindEachNormalizer<kNorm>(op, x, count, &normalizers);
    } else {
      FindNormalizers<kNorm>(op, x, count, &normalizers);
    }
    size_t c = 0;
    for (; c + kLanes <= op.channels; c += kLanes) {
      RunChannels<kNorm>(op, normalizers, c, kLanes, x, count, y);
    }
    if (c < op.channels) {
      RunChannels<kNorm>(op, normalizers, c, op.channels - c, x, count, y);
    }
    x += count * op.channels;
    y += count * op.channels;
    rows -= count;
  }
}

}  // namespace

void RunNorm(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  const auto run_rows = op.norm == Norm::kLayer ? RunRows<Norm::kLayer> : RunRows<Norm::kRms>;
  run_rows(op, x, rows, y);
}

}  // namespace avx2
}  // namespace pqv
