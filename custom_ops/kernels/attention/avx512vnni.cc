// Attention with AVX512-VNNI: 16 rows at a time, whose logits are narrowed where they are summed.

#include "kernels/attention/avx512.h"
#include "kernels/common/tile_avx512vnni.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kRows = 4;  // of a tile: 16 sums. Its softmax runs beside the products before it
constexpr int kKeyOffset = 128;

class Head : SoftmaxHead {
 public:
  Head(const Attention& op, uint8_t* scratch)
      : SoftmaxHead(op, scratch), groups_((op.depth + kGroup - 1) / kGroup) {
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      const size_t vectors = Order(chunk).vectors;
      PackKeys(chunk, {vectors * kVectorBytes, kVectorBytes, kKeyOffset});
    }
  }

  template <bool kLog2, Pairs kPairs>
  bool Run() {
    for (size_t row = 0; row < op_.rows; row += kHeadRows) {
      FindLogits<kPairs>(row);
      if (!EndMaxima(Rows(row))) return false;
      FindContext<kLog2, kPairs == Pairs::kBiasAndMask>(row);
      StoreContext(row, sums_);
    }
    return true;
  }

 private:
  template <Pairs kPairs>
  void FindLogits(size_t row) {
    BeginMaxima();
    LoadQueries(row, queries_);
    SetFirstSums();
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      switch (Order(chunk).vectors) {
        case 1:
          MultiplyKeys<kPairs, 1>(row, chunk);
          break;
        case 2:
          MultiplyKeys<kPairs, 2>(row, chunk);
          break;
        case 3:
          MultiplyKeys<kPairs, 3>(row, chunk);
          break;
        default:
          MultiplyKeys<kPairs, 4>(row, chunk);
          break;
      }
    }
  }

  // The rounding of the shift, less what the offset of the keys adds.
  void SetFirstSums() {
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sums[kHeadRows];
#pragma GCC unroll 16
    for (size_t r = 0; r < kHeadRows; ++r) {
      const __m512i queries = _mm512_load_si512(queries_ + r * kMaxHeadDepth);
      sums[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, queries);
    }
    const __m512i offset = _mm512_mullo_epi32(SumRows(sums), _mm512_set1_epi32(kKeyOffset));
    _mm512_store_si512(first_sums_, _mm512_sub_epi32(shifter_.rounding, offset));
  }

  template <Pairs kPairs, size_t kVectors>
  void MultiplyKeys(size_t row, size_t chunk) {
    const ChunkOrder& order = Order(chunk);
    const uint8_t* const keys = memory_.keys + chunk * 4 * kKeyBytes;
    const __m512i none = _mm512_set1_epi32(kNoLogit);
    __mmask16 tokens[kVectors];
    for (size_t v = 0; v < kVectors; ++v) tokens[v] = order.Tokens(v);
    const auto begin = [&](size_t r, __m512i* sums) __attribute__((always_inline)) {
      const __m512i first = _mm512_set1_epi32(first_sums_[r]);
      for (size_t v = 0; v < kVectors; ++v) {
        sums[v] = _mm512_mask_mov_epi32(none, tokens[v], first);
      }
    };
    const auto end = [&](size_t r, const __m512i* sums) __attribute__((always_inline)) {
      NarrowLogits<kPairs>(order, row, r, 2 * chunk, sums[0], sums[kVectors > 1 ? 1 : 0]);
      if constexpr (kVectors > 2) {
        NarrowLogits<kPairs>(order, row, r, 2 * chunk + 1, sums[2], sums[kVectors > 3 ? 3 : 2]);
      }
    };
    const size_t rows = Rows(row);
    for (size_t r = 0; r < rows; r += kRows) {  // beyond the last row is room for more
      RunTile<PanelSign::kUnsigned, kRows, kVectors>(queries_ + r * kMaxHeadDepth, kMaxHeadDepth, r,
                                                     keys, groups_, begin, end);
    }
  }

  template <bool kLog2, bool kMasked>
  void FindContext(size_t row) {
    BeginWeights();
    const size_t rows = Rows(row);
    for (size_t r = 0; r < rows; r += kRows) {
      for (size_t chunk = 0; chunk < chunks_; ++chunk) {
        FindWeights<kLog2, kMasked>(chunk, r, r + kRows);
      }
      if (is_wide_) {
        MultiplyValues<4>(r);
      } else {
        MultiplyValues<2>(r);
      }
    }
    EndWeights();
  }

  template <size_t kVectors>
  void MultiplyValues(size_t row) {
    __m512i sums[kRows][kVectors] = {};
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      const uint8_t* const weights = reinterpret_cast<const uint8_t*>(T(2 * chunk) + row * kHalf);
      const ChunkOrder& order = Order(chunk);
      const size_t steps = order.Step((order.tokens - 1) / kTokenGroup) + 1;
      Accumulate<PanelSign::kSigned>(weights, kChunk, memory_.values + chunk * kVectors * kKeyBytes,
                                     steps, sums);
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) {
        _mm512_store_si512(sums_ + (row + r) * kMaxHeadDepth + v * kLanes32, sums[r][v]);
      }
    }
  }

  const size_t groups_;
  alignas(64) uint8_t queries_[kHeadRows * kMaxHeadDepth] = {};
  alignas(64) int32_t first_sums_[kHeadRows];
  alignas(64) int32_t sums_[kHeadRows * kMaxHeadDepth];
};

}  // namespace

const AttentionKernel kAttention = {HeadScratchBytes, RunHead<Head>};

}  // namespace avx512vnni
}  // namespace pqv
