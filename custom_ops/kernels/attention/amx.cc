// Attention with AMX as one stream: 16 rows at a time, the softmax runs between the products.
//
// Everything that a block of 16 rows touches, keys and values included, fits in L1 for 197 tokens:
// logits live only as long as it takes to narrow them, 32 tokens at a time. A vector of logits is a
// row of a tile, the weights of a chunk are one tile.

#include "kernels/attention/avx512.h"
#include "kernels/gemm/tile_amx.h"

namespace pqv {
namespace amx {
namespace {

using namespace avx512;

static_assert(kHeadRows == kTileRows && kMaxHeadDepth == kTileK && kLanes32 == kTileLanes, "");

class Head : SoftmaxHead {
 public:
  Head(const Attention& op, uint8_t* scratch)
      : SoftmaxHead(op, scratch), halves_(2 * chunks_ - (last_.vectors > 2 ? 0 : 1)) {
    for (size_t chunk = 0; chunk < chunks_; ++chunk) PackKeys(chunk, {64, kKeyBytes, 0});
    SetFirstSums();
  }

  template <bool kLog2, Pairs kPairs>
  bool Run() {
    const TileScope tiles;
    BeginLogits(0);
    for (size_t row = 0; row < op_.rows; row += kTileRows) {
      if (!FindLogits<kPairs>(row)) return false;
      if (row > 0) StoreTiles();
      FindContext<kLog2, kPairs == Pairs::kBiasAndMask>(row);
    }
    StoreTiles();
    StoreSums((op_.rows - 1) / kTileRows * kTileRows);
    return true;
  }

 private:
  // What the tiles of logits begin with: the rounding of the shift, and where there is no token a
  // number that is below all logits.
  void SetFirstSums() {
    const __m512i none = _mm512_set1_epi32(kNoLogit);
    _mm512_store_si512(full_sums_, shifter_.rounding);
    for (size_t tile = 0; tile < 4; ++tile) {
      _mm512_store_si512(last_sums_[tile],
                         _mm512_mask_mov_epi32(none, last_.Tokens(tile), shifter_.rounding));
    }
  }

  PQV_INLINE void FillPartial(__m512i x) {
#pragma GCC unroll 16
    for (size_t r = 0; r < kHeadRows; ++r) partial_[r] = x;
  }

  // Begins the logits of 16 rows.
  void BeginLogits(size_t row) {
    LoadQueries(row, queries_);
    MemoryIsRead();
    _tile_loadd(7, queries_, kTileK);
    MultiplyKeys(0);
    StoreLogits(0);
    if (halves_ > 1) MultiplyKeys(1);
  }

  bool HasSecondTile(size_t half) const { return Order(half / 2).HasSecond(half); }

  // The logits of the 32 tokens, or the 16 last ones, of a half of a chunk.
  PQV_INLINE void MultiplyKeys(size_t half) {
    const bool is_last = half / 2 + 1 == chunks_;
    const int32_t* const first = is_last ? last_sums_[half % 2 * 2] : full_sums_;
    const int32_t* const second = is_last ? last_sums_[half % 2 * 2 + 1] : full_sums_;
    const uint8_t* const keys = memory_.keys + 2 * half * kKeyBytes;
    MemoryIsRead();
    _tile_loadd(4, first, 0);
    _tile_loadd(6, keys, 64);
    _tile_dpbssd(4, 7, 6);
    if (HasSecondTile(half)) {
      _tile_loadd(5, second, 0);
      _tile_loadd(6, keys + kKeyBytes, 64);
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
    _tile_loadd(4, T(2 * chunk), kChunk);
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
  bool FindLogits(size_t row) {
    const size_t rows = Rows(row);
    __m512i magnitudes = _mm512_setzero_si512();
    FillPartial(_mm512_set1_epi16(INT16_MIN));
    for (size_t half = 0; half < halves_; ++half) {
      if (half + 1 < halves_) StoreLogits(half + 1);
      if (half + 2 < halves_) MultiplyKeys(half + 2);
      const ChunkOrder& order = Order(half / 2);
      const size_t second = HasSecondTile(half) ? kTileLanes : 0;
      const int32_t* const logits = logits_[half % 2];
      for (size_t r = 0; r < rows; ++r) {
        const int32_t* const x = logits + r * kHalf;
        const __m512i t = NarrowLogits<kPairs>(order, row, r, half, _mm512_load_si512(x),
                                               _mm512_load_si512(x + second), &magnitudes);
        partial_[r] = _mm512_max_epi16(partial_[r], t);
      }
    }
    return FindMaxima(rows, magnitudes);
  }

  // The weights of all rows, their sums, and the products with the values.
  template <bool kLog2, bool kMasked>
  void FindContext(size_t row) {
    const size_t rows = Rows(row);
    const __m512i ones = _mm512_set1_epi8(1);
    FillPartial(_mm512_setzero_si512());
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      if (chunk > 0) MultiplyValues(chunk - 1);
      if (chunk == 0 && row > 0) StoreSums(row - kTileRows);
      const ChunkOrder& order = Order(chunk);
      for (size_t r = 0; r < rows; ++r) {
        const __m512i weights = FindWeights<kLog2, kMasked>(order, chunk, r);
        partial_[r] = _mm512_dpbusd_epi32(partial_[r], weights, ones);
      }
    }
    MultiplyValues(chunks_ - 1);
    if (row + kTileRows < op_.rows) BeginLogits(row + kTileRows);
    FindScales();
  }

  void StoreTiles() {
    constexpr size_t kStride = kMaxHeadDepth * sizeof(int32_t);
    _tile_stored(0, sums_, kStride);
    _tile_stored(1, sums_ + kTileLanes, kStride);
    if (!is_wide_) return;
    _tile_stored(2, sums_ + 2 * kTileLanes, kStride);
    _tile_stored(3, sums_ + 3 * kTileLanes, kStride);
  }

  void StoreSums(size_t row) const {
    if (is_wide_) {
      StoreColumns<4>(row);
    } else {
      StoreColumns<2>(row);
    }
  }

  template <size_t kVectors>
  void StoreColumns(size_t row) const {
    const size_t rows = Rows(row);
    for (size_t r = 0; r < rows; ++r) {
      __m512i sums[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        sums[v] = _mm512_load_si512(sums_ + r * kMaxHeadDepth + v * kTileLanes);
      }
      StoreContext<kVectors>(row, r, sums);
    }
  }

  const size_t halves_;
  alignas(64) int32_t full_sums_[kTileLanes];
  alignas(64) int32_t last_sums_[4][kTileLanes];
  alignas(64) uint8_t queries_[kTileRows * kTileK] = {};
  alignas(64) int32_t logits_[2][kHalfTokens];
  alignas(64) int32_t sums_[kTileRows * kMaxHeadDepth];
};

}  // namespace

const AttentionKernel kAttention = {HeadScratchBytes, RunHead<Head>};

}  // namespace amx
}  // namespace pqv
