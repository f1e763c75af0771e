// Attention with AMX as one stream: 16 rows at a time, the softmax runs between the products.
//
// Everything that a block of 16 rows touches, keys and values included, fits in L1 for 197 tokens:
// logits live only as long as it takes to narrow them to t, 32 tokens at a time, and weights take
// the place of t. A head with logits for which int16 is not enough is left to the composed driver.
// The places of a row are cut into chunks of 64 tokens, one tile of weights each.
// The logits of a chunk are up to four tiles, whose channels are tokens in tile order: the packs
// that narrow them need no permutation. A last chunk of fewer tokens has fewer tiles; groups of
// four tokens are dealt out to them in turn.

#include "kernels/attention/attention.h"
#include "kernels/common/tile_amx.h"
#include "kernels/int_matmul/avx512.h"
#include "kernels/softmax2n/avx512.h"
#include "kernels/variant.h"
#include "kernels/weighted_mean/avx512.h"

namespace pqv {
namespace amx {
namespace {

using namespace avx512;

constexpr size_t kMaxDepth = 64;  // one tile of Q
constexpr size_t kChunk = 64;
constexpr size_t kHalf = kChunk / 2;
constexpr size_t kTileBytes = 1024;
constexpr size_t kGroup = 4;                       // tokens that a step of a tile takes
constexpr size_t kHalfTokens = kTileRows * kHalf;  // int32 or int16 of a block
constexpr int32_t kNoLogit = -(1 << 30);           // below all sums of kMaxDepth products

// What the softmax does beside the logits.
enum class Pairs { kPlain, kBias, kBiasAndMask };

// Which groups of four tokens the places of a chunk hold: of `tiles` groups in each lane of 128
// bits, group g is at the 32 bits g % tiles of lane g / tiles. These bring groups of 4 bytes, and
// of 4 int16 for each half of the chunk, there.
struct GroupOrder {
  alignas(64) int32_t bytes[16];
  alignas(64) int64_t words[2][8];

  constexpr explicit GroupOrder(int tiles) : bytes{}, words{} {
    for (int i = 0; i < 16; ++i) {
      bytes[i] = i / 4 * tiles + i % 4;
      words[i % 4 / 2][i / 4 * 2 + i % 2] = bytes[i];
    }
  }
};

constexpr GroupOrder kGroupOrders[] = {GroupOrder(1), GroupOrder(2), GroupOrder(3), GroupOrder(4)};

struct ChunkOrder {
  size_t tokens;
  size_t tiles;
  __mmask64 bytes;     // that hold a token
  __mmask32 words[2];  // the same for the two vectors of int16 that are packed into it

  explicit ChunkOrder(size_t count)
      : tokens(count), tiles((count + kTileLanes - 1) / kTileLanes), bytes(0), words{0, 0} {
    const size_t lane_tokens = kGroup * tiles;
    for (size_t lane = 0; lane * lane_tokens < tokens; ++lane) {
      const __mmask64 mask = FirstLanes(Min(tokens - lane * lane_tokens, lane_tokens));
      bytes |= mask << (16 * lane);
      words[0] |= static_cast<__mmask32>(mask & 0xFF) << (8 * lane);
      words[1] |= static_cast<__mmask32>(mask >> 8) << (8 * lane);
    }
  }

  const GroupOrder& groups() const { return kGroupOrders[tiles - 1]; }
};

// The arrays of a head in the scratch memory.
struct Memory {
  uint8_t* keys;    // tiles of 16 tokens
  uint8_t* values;  // [chunks] steps of 4 tokens, 2 or 4 vectors in tile order
  int16_t* t;       // [chunks][2][16, 32]; then [chunks] tiles of weights, each 2 KiB apart
  __mmask64* kept;  // [chunks][16]: the places of a row that are not masked out

  Memory(size_t chunks, uint8_t* scratch) {
    keys = scratch;
    values = keys + chunks * 4 * kTileBytes;
    uint8_t* const t_bytes = values + chunks * 4 * kTileBytes;
    uint8_t* const kept_bytes = t_bytes + chunks * 2 * kTileBytes;
    t = reinterpret_cast<int16_t*>(t_bytes);
    kept = reinterpret_cast<__mmask64*>(kept_bytes);
  }
};

size_t ChunkCount(size_t tokens) { return (tokens + kChunk - 1) / kChunk; }

size_t MemoryBytes(size_t chunks) {
  return chunks * (10 * kTileBytes + kTileRows * sizeof(__mmask64));
}

class Head {
 public:
  Head(const Attention& op, uint8_t* scratch)
      : op_(op),
        chunks_(ChunkCount(op.tokens)),
        memory_(chunks_, scratch),
        is_wide_(op.depth > kMaxDepth / 2),
        last_(op.tokens - (chunks_ - 1) * kChunk),
        halves_(2 * chunks_ - (last_.tiles > 2 ? 0 : 1)),
        shifter_(MakeUniformShifter(op.softmax.shift)),
        lowest_max_(LowestNarrowMax(op.softmax)) {
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      PackKeys(chunk);
      if (is_wide_) {
        PackValues<4>(chunk);
      } else {
        PackValues<2>(chunk);
      }
    }
    SetFirstSums();
  }

  // Returns false, with some or no rows of y done, where int16 is not enough.
  template <bool kLog2, Pairs kPairs>
  bool Run() {
    const TileScope tiles;
    BeginLogits(0);
    for (size_t row = 0; row < op_.rows; row += kTileRows) {
      if (!FindMaxima<kPairs>(row)) return false;
      if (row > 0) StoreTiles();
      FindWeights<kLog2, kPairs == Pairs::kBiasAndMask>(row);
    }
    StoreTiles();
    StoreContext((op_.rows - 1) / kTileRows * kTileRows);
    return true;
  }

 private:
  const ChunkOrder& Order(size_t chunk) const { return chunk + 1 < chunks_ ? full_ : last_; }

  size_t Place(size_t i) const { return op_.places != nullptr ? op_.places[i] : i; }

  size_t Rows(size_t row) const { return Min(op_.rows - row, kTileRows); }

  void PackKeys(size_t chunk) {
    const ChunkOrder& order = Order(chunk);
    const __mmask64 depth = FirstLanes(op_.depth);
    for (size_t tile = 0; tile < order.tiles; ++tile) {
      __m512i x[16];
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) {
        const size_t token = (i / kGroup * order.tiles + tile) * kGroup + i % kGroup;
        const bool is_token = token < order.tokens;
        const size_t place = Place(chunk * kChunk + (is_token ? token : 0));
        x[i] = _mm512_maskz_loadu_epi8(is_token ? depth : 0, op_.k + place * op_.stride);
      }
      Transpose16(x);
      uint8_t* const panel = memory_.keys + (chunk * 4 + tile) * kTileBytes;
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) _mm512_store_si512(panel + 64 * i, x[i]);
    }
  }

  // What stands where there is no token does not matter: its weight is zero.
  template <size_t kVectors>
  void PackValues(size_t chunk) {
    const ChunkOrder& order = Order(chunk);
    const __mmask64 columns = FirstLanes(op_.depth);
    uint8_t* const panel = memory_.values + chunk * kVectors * kTileBytes;
    for (size_t g = 0; g * kGroup < order.tokens; ++g) {
      __m512i x[kGroup];
      for (size_t i = 0; i < kGroup; ++i) {
        const size_t token = g * kGroup + i;
        const size_t place = Place(chunk * kChunk + Min(token, order.tokens - 1));
        x[i] = LoadColumns<kVectors>(op_.v + place * op_.stride, columns);
      }
      const size_t step = g / order.tiles * 4 + g % order.tiles;
      InterleaveStep<kVectors>(x, panel + step * kVectors * 64);
    }
  }

  // What the tiles of logits begin with: the rounding of the shift, and where there is no token a
  // number that is below all logits.
  void SetFirstSums() {
    const __m512i none = _mm512_set1_epi32(kNoLogit);
    const __m512i rounding = shifter_.rounding;
    _mm512_store_si512(full_sums_, rounding);
    for (size_t tile = 0; tile < 4; ++tile) {
      __mmask16 tokens = 0;
      for (size_t lane = 0; lane < 4; ++lane) {
        const uint64_t group = last_.bytes >> (16 * lane + kGroup * tile) & 15;
        tokens |= static_cast<__mmask16>(group << (kGroup * lane));
      }
      _mm512_store_si512(last_sums_[tile], _mm512_mask_mov_epi32(none, tokens, rounding));
    }
  }

  void LoadQueries(size_t row) {
    const __mmask64 depth = FirstLanes(op_.depth);
    const size_t rows = Rows(row);
    for (size_t r = 0; r < rows; ++r) {
      const int8_t* const q = op_.q + Place(row + r) * op_.stride;
      _mm512_store_si512(queries_ + r * kTileK, _mm512_maskz_loadu_epi8(depth, q));
    }
    MemoryIsRead();
    _tile_loadd(7, queries_, kTileK);
  }

  // Begins the logits of 16 rows.
  void BeginLogits(size_t row) {
    LoadQueries(row);
    MultiplyKeys(0);
    StoreLogits(0);
    if (halves_ > 1) MultiplyKeys(1);
  }

  bool HasSecondTile(size_t half) const { return half % 2 * 2 + 1 < Order(half / 2).tiles; }

  // The logits of the 32 tokens, or the 16 last ones, of a half of a chunk.
  PQV_INLINE void MultiplyKeys(size_t half) {
    const bool is_last = half / 2 + 1 == chunks_;
    const int32_t* const first = is_last ? last_sums_[half % 2 * 2] : full_sums_;
    const int32_t* const second = is_last ? last_sums_[half % 2 * 2 + 1] : full_sums_;
    const uint8_t* const keys = memory_.keys + 2 * half * kTileBytes;
    MemoryIsRead();
    _tile_loadd(4, first, 0);
    _tile_loadd(6, keys, 64);
    _tile_dpbssd(4, 7, 6);
    if (HasSecondTile(half)) {
      _tile_loadd(5, second, 0);
      _tile_loadd(6, keys + kTileBytes, 64);
      _tile_dpbssd(5, 7, 6);
    }
  }

  PQV_INLINE void StoreLogits(size_t half) {
    int32_t* const logits = logits_[half % 2];
    _tile_stored(4, logits, kHalf * sizeof(int32_t));
    if (HasSecondTile(half)) _tile_stored(5, logits + kTileLanes, kHalf * sizeof(int32_t));
  }

  PQV_INLINE void MultiplyValues(size_t chunk) {
    const size_t step = is_wide_ ? 256 : 128;
    const uint8_t* const values = memory_.values + chunk * kTileRows * step;
    MemoryIsRead();
    _tile_loadd(4, memory_.t + chunk * 2 * kHalfTokens, 64);
    _tile_loadd(5, values, step);
    _tile_dpbusd(0, 4, 5);
    _tile_loadd(6, values + 64, step);
    _tile_dpbusd(1, 4, 6);
    if (is_wide_) {
      _tile_loadd(5, values + 128, step);
      _tile_dpbusd(2, 4, 5);
      _tile_loadd(6, values + 192, step);
      _tile_dpbusd(3, 4, 6);
    }
  }

  // t of all rows, and the maximum of each. Returns whether int16 was enough.
  template <Pairs kPairs>
  bool FindMaxima(size_t row) {
    const UniformShifter shifter = shifter_;
    const size_t rows = Rows(row);
    __m512i magnitudes = _mm512_setzero_si512();
#pragma GCC unroll 16
    for (size_t r = 0; r < kTileRows; ++r) partial_[r] = _mm512_set1_epi16(INT16_MIN);
    for (size_t half = 0; half < halves_; ++half) {
      if (half + 1 < halves_) StoreLogits(half + 1);
      if (half + 2 < halves_) MultiplyKeys(half + 2);
      const ChunkOrder& order = Order(half / 2);
      const size_t second = HasSecondTile(half) ? kTileLanes : 0;
      const int32_t* const logits = logits_[half % 2];
      int16_t* const narrow = memory_.t + half * kHalfTokens;
      for (size_t r = 0; r < rows; ++r) {
        const int32_t* const x = logits + r * kHalf;
        __m512i t = Shift16(shifter, _mm512_load_si512(x), _mm512_load_si512(x + second));
        if constexpr (kPairs != Pairs::kPlain) {
          t = AddBias<kPairs>(order, row, r, half, t, &magnitudes);
        }
        _mm512_store_si512(narrow + r * kHalf, t);
        partial_[r] = _mm512_max_epi16(partial_[r], t);
      }
    }
    const __m512i max =
        ReduceRows(partial_, [](__m512i a, __m512i b)
                                 __attribute__((always_inline)) { return _mm512_max_epi16(a, b); });
    // Both halves of each int32.
    const __m512i maxima = _mm512_max_epi16(max, _mm512_rol_epi32(max, 16));
    _mm512_store_si512(maxima_, maxima);
    return AreInRange(magnitudes) && AreNarrow(maxima, rows);
  }

  // Whether the maxima of the first rows say that int16 is enough for them.
  bool AreNarrow(__m512i maxima, size_t rows) const {
    const __mmask32 lanes = static_cast<__mmask32>(FirstLanes(2 * rows));
    const __m512i lowest = _mm512_set1_epi16(lowest_max_);
    const __m512i end = _mm512_set1_epi16(INT16_MAX);
    return (_mm512_mask_cmplt_epi16_mask(lanes, maxima, lowest) |
            _mm512_mask_cmpeq_epi16_mask(lanes, maxima, end)) == 0;
  }

  // t with the bias, the lowest where there is no token or it is masked out.
  template <Pairs kPairs>
  PQV_INLINE __m512i AddBias(const ChunkOrder& order, size_t row, size_t r, size_t half, __m512i t,
                             __m512i* magnitudes) const {
    const size_t pair = (row + r) * op_.tokens + half / 2 * kChunk;
    const int16_t* const bias = op_.bias + pair;
    const __mmask64 tokens = FirstLanes(order.tokens);
    const __m512i low = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(tokens), bias);
    const __m512i high = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(tokens >> 32), bias + 32);
    __mmask32 words = order.words[half % 2];
    if constexpr (kPairs == Pairs::kBiasAndMask) {
      const __m512i mask =
          _mm512_permutexvar_epi32(_mm512_load_si512(order.groups().bytes),
                                   _mm512_maskz_loadu_epi8(tokens, op_.mask + pair));
      memory_.kept[half / 2 * kTileRows + r] = _mm512_mask_testn_epi8_mask(order.bytes, mask, mask);
      const __m512i wide =
          half % 2 == 0 ? _mm512_unpacklo_epi8(mask, mask) : _mm512_unpackhi_epi8(mask, mask);
      words = _mm512_mask_testn_epi16_mask(words, wide, wide);
    }
    *magnitudes = MaxMagnitude(*magnitudes, _mm512_maskz_mov_epi16(words, t));
    return _mm512_mask_adds_epi16(
        _mm512_set1_epi16(INT16_MIN), words, t,
        _mm512_permutex2var_epi64(low, _mm512_load_si512(order.groups().words[half % 2]), high));
  }

  // The weights of all rows, their sums, and the products with the values.
  template <bool kLog2, bool kMasked>
  void FindWeights(size_t row) {
    const size_t rows = Rows(row);
    const __m512i multiplier = _mm512_set1_epi16(static_cast<int16_t>(op_.softmax.multiplier));
    const __m512i ones = _mm512_set1_epi8(1);
#pragma GCC unroll 16
    for (size_t r = 0; r < kTileRows; ++r) partial_[r] = _mm512_setzero_si512();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      if (chunk > 0) MultiplyValues(chunk - 1);
      if (chunk == 0 && row > 0) StoreContext(row - kTileRows);
      const ChunkOrder& order = Order(chunk);
      int16_t* const t = memory_.t + chunk * 2 * kHalfTokens;
      const __mmask64* const kept = memory_.kept + chunk * kTileRows;
      for (size_t r = 0; r < rows; ++r) {
        const __m512i max = _mm512_set1_epi32(maxima_[r]);
        const __m512i low = Distance(max, _mm512_load_si512(t + r * kHalf), multiplier);
        __m512i weights;
        if (order.tiles > 2) {
          const __m512i high =
              Distance(max, _mm512_load_si512(t + kHalfTokens + r * kHalf), multiplier);
          weights = SoftmaxWeights<kLog2>(low, high);
        } else {
          weights = SoftmaxWeights<kLog2>(low, low);
        }
        weights = _mm512_maskz_mov_epi8(kMasked ? kept[r] : order.bytes, weights);
        _mm512_store_si512(t + r * kHalf, weights);
        partial_[r] = _mm512_dpbusd_epi32(partial_[r], weights, ones);
      }
    }
    MultiplyValues(chunks_ - 1);
    if (row + kTileRows < op_.rows) BeginLogits(row + kTileRows);
    FindMeanScales(op_.mean_shift, op_.mean_multiplier, SumRows(partial_), &scales_);
  }

  void StoreTiles() {
    constexpr size_t kStride = kMaxDepth * sizeof(int32_t);
    _tile_stored(0, sums_, kStride);
    _tile_stored(1, sums_ + kTileLanes, kStride);
    if (!is_wide_) return;
    _tile_stored(2, sums_ + 2 * kTileLanes, kStride);
    _tile_stored(3, sums_ + 3 * kTileLanes, kStride);
  }

  void StoreContext(size_t row) {
    if (is_wide_) {
      StoreColumns<4>(row);
    } else {
      StoreColumns<2>(row);
    }
  }

  template <size_t kVectors>
  void StoreColumns(size_t row) {
    const Limits limits = MakeLimits(op_.y_bits);
    const __mmask64 columns = FirstLanes(op_.depth);
    const size_t rows = Rows(row);
    for (size_t r = 0; r < rows; ++r) {
      __m512i vectors[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        vectors[v] = _mm512_load_si512(sums_ + r * kMaxDepth + v * kTileLanes);
      }
      StoreMean<kVectors>(scales_, r, vectors, limits, columns,
                          op_.y + Place(row + r) * op_.y_stride);
    }
  }

  const Attention& op_;
  const size_t chunks_;
  const Memory memory_;
  const bool is_wide_;  // four tiles of values, else two
  const ChunkOrder full_{kChunk};
  const ChunkOrder last_;
  const size_t halves_;
  const UniformShifter shifter_;
  const int16_t lowest_max_;
  alignas(64) int32_t full_sums_[kTileLanes];
  alignas(64) int32_t last_sums_[4][kTileLanes];
  alignas(64) uint8_t queries_[kTileRows * kTileK] = {};
  alignas(64) int32_t logits_[2][kHalfTokens];
  __m512i partial_[kTileRows];  // of each lane: maxima, then sums of weights
  alignas(64) int32_t maxima_[kTileRows];
  MeanScales scales_;
  alignas(64) int32_t sums_[kTileRows * kMaxDepth];
};

bool HasAnyMask(const Attention& op) {
  const size_t count = op.rows * op.tokens;
  __m512i any = _mm512_setzero_si512();
  for (size_t i = 0; i < count; i += 64) {
    any = _mm512_or_si512(any, _mm512_maskz_loadu_epi8(FirstLanes(count - i), op.mask + i));
  }
  return _mm512_test_epi32_mask(any, any) != 0;
}

template <bool kLog2>
bool RunHead(const Attention& op, uint8_t* scratch) {
  Head head(op, scratch);
  if (op.bias == nullptr) return head.Run<kLog2, Pairs::kPlain>();
  if (HasAnyMask(op)) return head.Run<kLog2, Pairs::kBiasAndMask>();
  return head.Run<kLog2, Pairs::kBias>();
}

size_t ScratchBytes(const Attention& op) {
  const size_t own = MemoryBytes(ChunkCount(op.tokens));
  const size_t composed = composed::kAttention.scratch_bytes(op);
  return own > composed ? own : composed;
}

void Run(const Variant& variant, const Attention& op, void* scratch) {
  const auto run = op.softmax.log2 ? RunHead<true> : RunHead<false>;
  const bool is_done =
      op.depth <= kMaxDepth && op.tokens > 0 && run(op, static_cast<uint8_t*>(scratch));
  if (!is_done) composed::kAttention.run(variant, op, scratch);
}

}  // namespace

const AttentionKernel kAttention = {ScratchBytes, Run};

}  // namespace amx
}  // namespace pqv
