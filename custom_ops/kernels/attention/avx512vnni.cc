// Attention with AVX512-VNNI: 16 rows at a time, whose logits are narrowed where they are summed.

#include "kernels/attention/avx512.h"
#include "kernels/gemm/tile_avx512vnni.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kRows = 4;  // of a tile: 16 sums
constexpr int kKeyOffset = 128;

class Head : SoftmaxHead {
 public:
  Head(const Attention& op, uint8_t* scratch)
      : SoftmaxHead(op, scratch), groups_(CeilDivide(op.depth, kGroup)) {
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      const size_t vectors = Order(chunk).vectors;
      PackKeys(chunk, {vectors * kVectorBytes, kVectorBytes, kKeyOffset});
    }
  }

  template <bool kLog2, Pairs kPairs>
  bool Run() {
    for (size_t row = 0; row < op_.rows; row += kHeadRows) {
      const __m512i magnitudes = FindLogits<kPairs>(row);
      if (!FindMaxima(Rows(row), magnitudes)) return false;
      FindAllWeights<kLog2, kPairs == Pairs::kBiasAndMask>(row);
      FindScales();
      if (is_wide_) {
        FindContext<4>(row);
      } else {
        FindContext<2>(row);
      }
    }
    return true;
  }

 private:
  // What is found of the rows of a tile, in registers.
  struct Largest {
    __m512i t[kRows];
    __m512i magnitudes;  // of t before a bias
  };

  // The rows of a tile one chunk after the other. Beyond the last row is room for more.
  template <Pairs kPairs>
  __m512i FindLogits(size_t row) {
    __m512i magnitudes = _mm512_setzero_si512();
    LoadQueries(row, queries_);
    SetFirstSums();
    const size_t rows = Rows(row);
    for (size_t r = 0; r < rows; r += kRows) {
      Largest largest;
      for (size_t i = 0; i < kRows; ++i) largest.t[i] = _mm512_set1_epi16(INT16_MIN);
      largest.magnitudes = magnitudes;
      for (size_t chunk = 0; chunk + 1 < chunks_; ++chunk) {
        MultiplyKeys<kPairs, 4>(row, r, chunk, &largest);
      }
      WithCount<4>(last_.vectors, [&](auto vectors) PQV_LAMBDA {
        MultiplyKeys<kPairs, decltype(vectors)::kValue>(row, r, chunks_ - 1, &largest);
      });
      for (size_t i = 0; i < kRows; ++i) partial_[r + i] = largest.t[i];
      magnitudes = largest.magnitudes;
    }
    return magnitudes;
  }

  // The rounding of the shift, less what the offset of the keys adds.
  void SetFirstSums() {
    SumsOfRows(reinterpret_cast<const int8_t*>(queries_), kMaxHeadDepth, kHeadRows, kMaxHeadDepth,
               -kKeyOffset, first_sums_);
    const __m512i sums = _mm512_load_si512(first_sums_);
    _mm512_store_si512(first_sums_, _mm512_add_epi32(sums, shifter_.rounding));
  }

  template <Pairs kPairs, size_t kVectors>
  PQV_INLINE void MultiplyKeys(size_t row, size_t r, size_t chunk, Largest* largest) {
    const ChunkOrder& order = Order(chunk);
    const __m512i none = _mm512_set1_epi32(kNoLogit);
    __mmask16 tokens[kVectors];
    for (size_t v = 0; v < kVectors; ++v) tokens[v] = order.Tokens(v);
    const auto begin = [&](size_t i, __m512i* sums) PQV_LAMBDA {
      const __m512i first = _mm512_set1_epi32(first_sums_[r + i]);
      for (size_t v = 0; v < kVectors; ++v) {
        sums[v] = _mm512_mask_mov_epi32(none, tokens[v], first);
      }
    };
    const auto end = [&](size_t i, const __m512i* sums) PQV_LAMBDA {
      const auto narrow = [&](size_t half, __m512i first, __m512i second) PQV_LAMBDA {
        const __m512i t = NarrowLogits<kPairs>(order, row, r + i, 2 * chunk + half, first, second,
                                               &largest->magnitudes);
        largest->t[i] = _mm512_max_epi16(largest->t[i], t);
      };
      narrow(0, sums[0], sums[kVectors > 1 ? 1 : 0]);
      if constexpr (kVectors > 2) narrow(1, sums[2], sums[kVectors > 3 ? 3 : 2]);
    };
    RunTile<PanelSign::kUnsigned, kRows, kVectors>(
        queries_ + r * kMaxHeadDepth, kMaxHeadDepth, 0,
        StepPanel<kVectors>{memory_.keys + chunk * 4 * kKeyBytes}, groups_, begin, end, Nothing());
  }

  template <bool kLog2, bool kMasked>
  void FindAllWeights(size_t row) {
    const __m512i ones = _mm512_set1_epi8(1);
    const size_t rows = RoundUp(Rows(row), kRows);
    for (size_t r = 0; r < rows; ++r) {
      __m512i sums = _mm512_setzero_si512();
      for (size_t chunk = 0; chunk < chunks_; ++chunk) {
        const __m512i weights = FindWeights<kLog2, kMasked>(Order(chunk), chunk, r);
        sums = _mm512_dpbusd_epi32(sums, weights, ones);
      }
      partial_[r] = sums;
    }
  }

  template <size_t kVectors>
  void FindContext(size_t row) {
    const size_t rows = Rows(row);
    for (size_t r = 0; r < rows; r += kRows) {
      __m512i sums[kRows][kVectors] = {};
      for (size_t chunk = 0; chunk < chunks_; ++chunk) {
        const ChunkOrder& order = Order(chunk);
        Accumulate<PanelSign::kSigned>(
            reinterpret_cast<const uint8_t*>(T(2 * chunk) + r * kHalf), kChunk,
            StepPanel<kVectors>{memory_.values + chunk * kVectors * kKeyBytes},
            order.Step((order.tokens - 1) / kTokenGroup) + 1, sums, Nothing());
      }
      const size_t count = Min(rows - r, kRows);
#pragma GCC unroll 4
      for (size_t i = 0; i < kRows; ++i) {
        if (i < count) StoreContext<kVectors>(row, r + i, sums[i]);
      }
    }
  }

  const size_t groups_;
  alignas(64) uint8_t queries_[kHeadRows * kMaxHeadDepth] = {};
  alignas(64) int32_t first_sums_[kHeadRows];
};

}  // namespace

const AttentionKernel kAttention = {HeadScratchBytes, RunHead<Head>};

}  // namespace avx512vnni
}  // namespace pqv
