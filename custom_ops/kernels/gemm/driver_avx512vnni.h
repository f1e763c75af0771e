// The driver of VPDPBUSD's tiles, see product.h.

#ifndef PQV_KERNELS_GEMM_DRIVER_AVX512VNNI_H_
#define PQV_KERNELS_GEMM_DRIVER_AVX512VNNI_H_

#include "kernels/gemm/product.h"
#include "kernels/gemm/tile_avx512vnni.h"

namespace pqv {
namespace avx512 {

constexpr size_t kMaxPanelK = 768;    // 48 KiB of 64 channels, which come from L2 as fast
constexpr size_t kMaxRows = 792;      // that share a panel
constexpr size_t kMaxPassRows = 198;  // the same where k takes several passes

static constexpr size_t MaxRows(size_t k) { return k > kMaxPanelK ? kMaxPassRows : kMaxRows; }

// Where the rows of a tile are.
struct TileRows {
  const uint8_t* first;
  size_t stride;
};

// Rows of k bytes where they are, or as copies with zeros up to whole groups. k <= kMaxPanelK
// where it is not a multiple of kGroup.
class PaddedRows {
 public:
  PQV_INLINE PaddedRows(const uint8_t* a, size_t stride, size_t k)
      : a_(a), stride_(stride), k_(k) {}

  PQV_INLINE TileRows Tile(size_t row, size_t count) {
    const uint8_t* const first = a_ + row * stride_;
    if (k_ % kGroup == 0) return {first, stride_};
    for (size_t r = 0; r < count; ++r) {
      for (size_t i = 0; i < k_; i += 64) {
        const __m512i x = _mm512_maskz_loadu_epi8(FirstLanes(k_ - i), first + r * stride_ + i);
        _mm512_store_si512(copies_ + r * kMaxPanelK + i, x);
      }
    }
    return {copies_, kMaxPanelK};
  }

 private:
  const uint8_t* const a_;
  const size_t stride_;
  const size_t k_;
  alignas(64) uint8_t copies_[kTileRows * kMaxPanelK];
};

// All rows with one panel of `groups` steps; `source` has those of a tile.
template <PanelSign kSign, size_t kVectors, typename Source, typename Panel, typename Begin,
          typename End, typename Beside = Nothing>
static PQV_INLINE void RunRows(Source* source, size_t rows, const Panel& panel, size_t groups,
                               const Begin& begin, const End& end, const Beside& beside = {}) {
  for (size_t row = 0; row < rows; row += kTileRows) {
    const size_t count = Min(rows - row, kTileRows);
    const TileRows tile = source->Tile(row, count);
    WithCount<kTileRows>(count, [&](auto tile_rows) PQV_LAMBDA {
      RunTile<kSign, decltype(tile_rows)::kValue, kVectors>(tile.first, tile.stride, row, panel,
                                                            groups, begin, end, beside);
    });
  }
}

// The rows of a product, MaxRows(k) or fewer, by the 16 * kVectors channels that `panels` and
// `epilogue` are of.
//
//   Panels:   Make(k, count, panel) writes the steps of `count` k from k on, all but the last a
//             multiple of kUnit
//   Epilogue: Begin(row, sums) gives what the sums of a row begin with, End(row, sums) takes them
template <PanelSign kSign, size_t kVectors, typename Panels, typename Epilogue>
static PQV_INLINE void RunPanel(const Product& op, const Panels& panels,
                                const Epilogue& shared_epilogue) {
  constexpr size_t kChannels = kLanes32 * kVectors;
  const Epilogue epilogue = shared_epilogue;  // a copy, which stores of int8 cannot change
  const size_t first = op.row_begin;
  alignas(64) uint8_t panel[kMaxPanelK * kChannels];
  alignas(64) int32_t partial[kMaxPassRows * kChannels];
  const size_t rows = op.row_end - first;
  const size_t pass = EvenPart(op.k, kMaxPanelK, Panels::kUnit);
  for (size_t k = 0; k < op.k; k += pass) {
    const size_t count = Min(op.k - k, pass);
    const bool is_first = k == 0;
    const bool is_last = k + count == op.k;
    panels.Make(k, count, panel);
    const auto begin = [&](size_t r, __m512i* sums) PQV_LAMBDA {
      if (is_first) return epilogue.Begin(first + r, sums);
      for (size_t v = 0; v < kVectors; ++v) {
        sums[v] = _mm512_load_si512(partial + r * kChannels + kLanes32 * v);
      }
    };
    const auto end = [&](size_t r, const __m512i* sums) PQV_LAMBDA {
      if (is_last) return epilogue.End(first + r, sums);
      for (size_t v = 0; v < kVectors; ++v) {
        _mm512_store_si512(partial + r * kChannels + kLanes32 * v, sums[v]);
      }
    };
    PaddedRows source(op.a + first * op.a_stride + k, op.a_stride, count);
    RunRows<kSign, kVectors>(&source, rows, StepPanel<kVectors>{panel}, CeilDivide(count, kGroup),
                             begin, end);
  }
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_DRIVER_AVX512VNNI_H_
