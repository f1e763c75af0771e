// What the AMX and the AVX512-VNNI kernel of attention share: keys and values as panels, and the
// softmax of 16 rows at a time.
//
// The places of a row are cut into chunks of 64 tokens, their logits are up to four vectors of 16.
// Those hold tokens in tile order: the packs that narrow logits to t, int16, need no permutation. A
// last chunk of fewer tokens has fewer vectors; groups of four tokens are dealt out to them in
// turn. Weights take the place of t. A head with logits for which int16 is not enough is left to
// the composed driver.

#ifndef PQV_KERNELS_ATTENTION_AVX512_H_
#define PQV_KERNELS_ATTENTION_AVX512_H_

#include "kernels/attention/attention.h"
#include "kernels/int_matmul/avx512.h"
#include "kernels/softmax2n/avx512.h"
#include "kernels/weighted_mean/avx512.h"

namespace pqv {
namespace avx512 {

constexpr size_t kHeadRows = 16;      // at a time
constexpr size_t kMaxHeadDepth = 64;  // bytes of a vector
constexpr size_t kChunk = 64;
constexpr size_t kHalf = kChunk / 2;
constexpr size_t kTokenGroup = 4;                  // tokens that a step of the values has
constexpr size_t kKeyBytes = 1024;                 // of 16 tokens
constexpr size_t kHalfTokens = kHeadRows * kHalf;  // int32 or int16 of 16 rows
constexpr int32_t kNoLogit = -(1 << 30);           // below all sums of kMaxHeadDepth products

// What the softmax does beside the logits.
enum class Pairs { kPlain, kBias, kBiasAndMask };

// Which groups of four tokens the places of a chunk hold: of `vectors` groups in each lane of 128
// bits, group g is at the 32 bits g % vectors of lane g / vectors. These bring groups of 4 bytes,
// and of 4 int16 for each half of the chunk, there.
struct GroupOrder {
  alignas(64) int32_t bytes[16];
  alignas(64) int64_t words[2][8];

  constexpr explicit GroupOrder(int vectors) : bytes{}, words{} {
    for (int i = 0; i < 16; ++i) {
      bytes[i] = i / 4 * vectors + i % 4;
      words[i % 4 / 2][i / 4 * 2 + i % 2] = bytes[i];
    }
  }
};

constexpr GroupOrder kGroupOrders[] = {GroupOrder(1), GroupOrder(2), GroupOrder(3), GroupOrder(4)};

struct ChunkOrder {
  size_t tokens;
  size_t vectors;      // of logits
  __mmask64 bytes;     // that hold a token
  __mmask32 words[2];  // the same for the two vectors of int16 that are packed into it

  PQV_INLINE explicit ChunkOrder(size_t count)
      : tokens(count), vectors(CeilDivide(count, kLanes32)), bytes(0), words{0, 0} {
    const size_t lane_tokens = kTokenGroup * vectors;
    for (size_t lane = 0; lane * lane_tokens < tokens; ++lane) {
      const __mmask64 mask = FirstLanes(Min(tokens - lane * lane_tokens, lane_tokens));
      bytes |= mask << (16 * lane);
      words[0] |= static_cast<__mmask32>(mask & 0xFF) << (8 * lane);
      words[1] |= static_cast<__mmask32>(mask >> 8) << (8 * lane);
    }
  }

  const GroupOrder& groups() const { return kGroupOrders[vectors - 1]; }

  // The lanes of a vector of logits that hold a token.
  PQV_INLINE __mmask16 Tokens(size_t vector) const {
    __mmask16 lanes = 0;
    for (size_t lane = 0; lane < 4; ++lane) {
      const uint64_t group = bytes >> (16 * lane + kTokenGroup * vector) & 15;
      lanes |= static_cast<__mmask16>(group << (kTokenGroup * lane));
    }
    return lanes;
  }

  // Whether half of a chunk has two vectors.
  bool HasSecond(size_t half) const { return half % 2 * 2 + 1 < vectors; }

  // Where the values of a group of four tokens are, in steps.
  size_t Step(size_t group) const { return group / vectors * 4 + group % vectors; }
};

// Where the keys of 16 tokens, one vector of logits, are.
struct KeyLayout {
  size_t step;    // bytes from 4 channels to the next 4
  size_t vector;  // bytes from 16 tokens to the next 16 of their chunk
  uint8_t flip;   // xored to all keys
};

static inline size_t ChunkCount(size_t tokens) { return CeilDivide(tokens, kChunk); }

// The arrays of a head in the scratch memory.
struct HeadMemory {
  uint8_t* keys;    // [chunks] of 4 KiB
  uint8_t* values;  // [chunks] of 16 steps of 4 tokens, 2 or 4 vectors in tile order
  int16_t* t;       // [chunks][2][16, 32]; then [chunks] of weights, [16, 64], each 2 KiB apart
  __mmask64* kept;  // [chunks][16]: the places of a row that are not masked out

  PQV_INLINE HeadMemory(size_t chunks, uint8_t* scratch) {
    keys = scratch;
    values = keys + chunks * 4 * kKeyBytes;
    uint8_t* const t_bytes = values + chunks * 4 * kKeyBytes;
    uint8_t* const kept_bytes = t_bytes + chunks * 2 * kKeyBytes;
    t = reinterpret_cast<int16_t*>(t_bytes);
    kept = reinterpret_cast<__mmask64*>(kept_bytes);
  }

  static size_t Bytes(size_t chunks) {
    return chunks * (10 * kKeyBytes + kHeadRows * sizeof(__mmask64));
  }
};

// A head, but for its products. For tokens > 0 and depth <= kMaxHeadDepth.
class SoftmaxHead {
 protected:
  PQV_INLINE SoftmaxHead(const Attention& op, uint8_t* scratch)
      : op_(op),
        chunks_(ChunkCount(op.tokens)),
        memory_(chunks_, scratch),
        is_wide_(op.depth > kMaxHeadDepth / 2),
        last_(op.tokens - (chunks_ - 1) * kChunk),
        shifter_(MakeUniformShifter(op.softmax.shift)),
        lowest_max_(LowestNarrowMax(op.softmax)) {
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      if (is_wide_) {
        PackValues<4>(chunk);
      } else {
        PackValues<2>(chunk);
      }
    }
  }

  const ChunkOrder& Order(size_t chunk) const { return chunk + 1 < chunks_ ? full_ : last_; }

  size_t Place(size_t i) const { return op_.places != nullptr ? op_.places[i] : i; }

  size_t Rows(size_t row) const { return Min(op_.rows - row, kHeadRows); }

  int16_t* T(size_t half) const { return memory_.t + half * kHalfTokens; }

  PQV_INLINE void PackKeys(size_t chunk, const KeyLayout& layout) {
    const ChunkOrder& order = Order(chunk);
    const __mmask64 depth = FirstLanes(op_.depth);
    const __m512i flips = _mm512_set1_epi8(static_cast<char>(layout.flip));
    for (size_t vector = 0; vector < order.vectors; ++vector) {
      __m512i x[16];
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) {
        const size_t token = (i / kTokenGroup * order.vectors + vector) * kTokenGroup + i % 4;
        const bool is_token = token < order.tokens;
        const size_t place = Place(chunk * kChunk + (is_token ? token : 0));
        x[i] = _mm512_maskz_loadu_epi8(is_token ? depth : 0, op_.k + place * op_.stride);
        x[i] = _mm512_xor_si512(x[i], flips);
      }
      Transpose16(x);
      uint8_t* const panel = memory_.keys + chunk * 4 * kKeyBytes + vector * layout.vector;
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) _mm512_store_si512(panel + layout.step * i, x[i]);
    }
  }

  // Rows of queries, zero-padded.
  PQV_INLINE void LoadQueries(size_t row, uint8_t* queries) const {
    const __mmask64 depth = FirstLanes(op_.depth);
    const size_t rows = Rows(row);
    for (size_t r = 0; r < rows; ++r) {
      const int8_t* const q = op_.q + Place(row + r) * op_.stride;
      _mm512_store_si512(queries + r * kMaxHeadDepth, _mm512_maskz_loadu_epi8(depth, q));
    }
  }

  // t of row r and half a chunk from its logits, which have the shift's rounding in them.
  // `magnitudes` are the largest ones before a bias.
  template <Pairs kPairs>
  PQV_INLINE __m512i NarrowLogits(const ChunkOrder& order, size_t row, size_t r, size_t half,
                                  __m512i first, __m512i second, __m512i* magnitudes) const {
    __m512i t = Shift16(shifter_, first, second);
    if constexpr (kPairs != Pairs::kPlain) t = AddBias<kPairs>(order, row, r, half, t, magnitudes);
    _mm512_store_si512(T(half) + r * kHalf, t);
    return t;
  }

  // The maximum of each row. Returns whether int16 was enough for all t.
  PQV_INLINE bool FindMaxima(size_t rows, __m512i magnitudes) {
    const __m512i max = ReduceRows(
        partial_, [](__m512i a, __m512i b) PQV_LAMBDA { return _mm512_max_epi16(a, b); });
    // Both halves of each int32.
    const __m512i maxima = _mm512_max_epi16(max, _mm512_rol_epi32(max, 16));
    _mm512_store_si512(maxima_, maxima);
    return AreInRange(magnitudes) && AreNarrow(maxima, rows);
  }

  // The weights of row r and a chunk, in place of their t.
  template <bool kLog2, bool kMasked>
  PQV_INLINE __m512i FindWeights(const ChunkOrder& order, size_t chunk, size_t r) {
    const __m512i multiplier = _mm512_set1_epi16(static_cast<int16_t>(op_.softmax.multiplier));
    const __m512i max = _mm512_set1_epi32(maxima_[r]);
    int16_t* const t = T(2 * chunk) + r * kHalf;
    const __m512i low = Distance(max, _mm512_load_si512(t), multiplier);
    __m512i high = low;
    if (order.vectors > 2) high = Distance(max, _mm512_load_si512(t + kHalfTokens), multiplier);
    const __mmask64 kept = kMasked ? memory_.kept[chunk * kHeadRows + r] : order.bytes;
    const __m512i weights = _mm512_maskz_mov_epi8(kept, SoftmaxWeights<kLog2>(low, high));
    _mm512_store_si512(t, weights);
    return weights;
  }

  // How rows are requantized whose weights are summed up in partial_.
  PQV_INLINE void FindScales() {
    FindMeanScales(op_.mean_shift, op_.mean_multiplier, SumRows(partial_), &scales_);
  }

  // Output of the sums of row r of those from `row` on.
  template <size_t kVectors>
  PQV_INLINE void StoreContext(size_t row, size_t r, const __m512i* sums) const {
    StoreMean<kVectors>(scales_, r, sums, MakeLimits(op_.y_bits), FirstLanes(op_.depth),
                        op_.y + Place(row + r) * op_.y_stride);
  }

  const Attention& op_;
  const size_t chunks_;
  const HeadMemory memory_;
  const bool is_wide_;  // four vectors of values, else two
  const ChunkOrder full_{kChunk};
  const ChunkOrder last_;
  const UniformShifter shifter_;
  __m512i partial_[kHeadRows];  // of each lane: maxima, then sums of weights

 private:
  // What stands where there is no token does not matter: its weight is zero.
  template <size_t kVectors>
  PQV_INLINE void PackValues(size_t chunk) {
    const ChunkOrder& order = Order(chunk);
    const __mmask64 columns = FirstLanes(op_.depth);
    uint8_t* const panel = memory_.values + chunk * kVectors * kKeyBytes;
    for (size_t g = 0; g * kTokenGroup < order.tokens; ++g) {
      __m512i x[kTokenGroup];
      for (size_t i = 0; i < kTokenGroup; ++i) {
        const size_t token = g * kTokenGroup + i;
        const size_t place = Place(chunk * kChunk + Min(token, order.tokens - 1));
        x[i] = LoadColumns<kVectors>(op_.v + place * op_.stride, columns);
      }
      InterleaveStep<kVectors>(x, panel + order.Step(g) * kVectors * 64);
    }
  }

  // t with the bias, the lowest where there is no token or it is masked out. Rows beyond the last
  // have its bias.
  template <Pairs kPairs>
  PQV_INLINE __m512i AddBias(const ChunkOrder& order, size_t row, size_t r, size_t half, __m512i t,
                             __m512i* magnitudes) const {
    const size_t pair = Min(row + r, op_.rows - 1) * op_.tokens + half / 2 * kChunk;
    const int16_t* const bias = op_.bias + pair;
    const __mmask64 tokens = FirstLanes(order.tokens);
    const __m512i low = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(tokens), bias);
    const __m512i high = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(tokens >> 32), bias + 32);
    __mmask32 words = order.words[half % 2];
    if constexpr (kPairs == Pairs::kBiasAndMask) {
      const __m512i mask =
          _mm512_permutexvar_epi32(_mm512_load_si512(order.groups().bytes),
                                   _mm512_maskz_loadu_epi8(tokens, op_.mask + pair));
      memory_.kept[half / 2 * kHeadRows + r] = _mm512_mask_testn_epi8_mask(order.bytes, mask, mask);
      const __m512i wide =
          half % 2 == 0 ? _mm512_unpacklo_epi8(mask, mask) : _mm512_unpackhi_epi8(mask, mask);
      words = _mm512_mask_testn_epi16_mask(words, wide, wide);
    }
    *magnitudes = MaxMagnitude(*magnitudes, _mm512_maskz_mov_epi16(words, t));
    return _mm512_mask_adds_epi16(
        _mm512_set1_epi16(INT16_MIN), words, t,
        _mm512_permutex2var_epi64(low, _mm512_load_si512(order.groups().words[half % 2]), high));
  }

  // Whether the maxima of the first rows say that int16 is enough for them.
  PQV_INLINE bool AreNarrow(__m512i maxima, size_t rows) const {
    const __mmask32 lanes = static_cast<__mmask32>(FirstLanes(2 * rows));
    const __m512i lowest = _mm512_set1_epi16(lowest_max_);
    const __m512i end = _mm512_set1_epi16(INT16_MAX);
    return (_mm512_mask_cmplt_epi16_mask(lanes, maxima, lowest) |
            _mm512_mask_cmpeq_epi16_mask(lanes, maxima, end)) == 0;
  }

  const int16_t lowest_max_;
  alignas(64) int32_t maxima_[kHeadRows];
  MeanScales scales_;
};

static inline bool HasAnyMask(const Attention& op) {
  const size_t count = op.rows * op.tokens;
  __m512i any = _mm512_setzero_si512();
  for (size_t i = 0; i < count; i += 64) {
    any = _mm512_or_si512(any, _mm512_maskz_loadu_epi8(FirstLanes(count - i), op.mask + i));
  }
  return _mm512_test_epi32_mask(any, any) != 0;
}

// Head::Run, for the softmax of `op`, with what it needs beside the logits. Returns false, with
// some or no rows of y done, where int16 is not enough.
template <typename Head, bool kLog2>
static inline bool RunSoftmaxHead(const Attention& op, uint8_t* scratch) {
  Head head(op, scratch);
  if (op.bias == nullptr) return head.template Run<kLog2, Pairs::kPlain>();
  if (HasAnyMask(op)) return head.template Run<kLog2, Pairs::kBiasAndMask>();
  return head.template Run<kLog2, Pairs::kBias>();
}

static inline size_t HeadScratchBytes(const Attention& op) {
  const size_t own = HeadMemory::Bytes(ChunkCount(op.tokens));
  const size_t composed = composed::kAttention.scratch_bytes(op);
  return own > composed ? own : composed;
}

template <typename Head>
static inline void RunHead(const Variant& variant, const Attention& op, void* scratch) {
  const auto run = op.softmax.log2 ? RunSoftmaxHead<Head, true> : RunSoftmaxHead<Head, false>;
  const bool is_done =
      op.depth <= kMaxHeadDepth && op.tokens > 0 && run(op, static_cast<uint8_t*>(scratch));
  if (!is_done) composed::kAttention.run(variant, op, scratch);
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_ATTENTION_AVX512_H_
