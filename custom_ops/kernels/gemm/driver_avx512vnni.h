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

// Copies rows of k bytes, each zero-padded to whole vectors.
static inline void PadRows(const uint8_t* a, size_t stride, size_t rows, size_t k,
                           size_t padded_stride, uint8_t* padded) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < k; i += 64) {
      const __m512i x = _mm512_maskz_loadu_epi8(FirstLanes(k - i), a + r * stride + i);
      _mm512_storeu_si512(padded + r * padded_stride + i, x);
    }
  }
}

// All rows of k bytes with one panel. k <= kMaxPanelK.
template <PanelSign kSign, size_t kVectors, typename Begin, typename End>
static PQV_INLINE void RunRows(const uint8_t* a, size_t stride, size_t rows, size_t k,
                               const uint8_t* panel, const Begin& begin, const End& end) {
  alignas(64) uint8_t padded[kTileRows * kMaxPanelK];
  const size_t groups = CeilDivide(k, kGroup);
  for (size_t row = 0; row < rows; row += kTileRows) {
    const size_t count = Min(rows - row, kTileRows);
    const uint8_t* tile = a + row * stride;
    size_t tile_stride = stride;
    if (k % kGroup != 0) {
      PadRows(tile, stride, count, k, kMaxPanelK, padded);
      tile = padded;
      tile_stride = kMaxPanelK;
    }
    switch (count) {
      case 1:
        RunTile<kSign, 1, kVectors>(tile, tile_stride, row, panel, groups, begin, end);
        break;
      case 2:
        RunTile<kSign, 2, kVectors>(tile, tile_stride, row, panel, groups, begin, end);
        break;
      case 3:
        RunTile<kSign, 3, kVectors>(tile, tile_stride, row, panel, groups, begin, end);
        break;
      case 4:
        RunTile<kSign, 4, kVectors>(tile, tile_stride, row, panel, groups, begin, end);
        break;
      case 5:
        RunTile<kSign, 5, kVectors>(tile, tile_stride, row, panel, groups, begin, end);
        break;
      default:
        RunTile<kSign, 6, kVectors>(tile, tile_stride, row, panel, groups, begin, end);
        break;
    }
  }
}

// What panels and epilogues inherit that do nothing beside the products.
struct NothingBeside {
  PQV_INLINE auto ByTheWay(size_t, size_t, size_t) const {
    return []() __attribute__((always_inline)) {};
  }
  PQV_INLINE void Prefetch(size_t) const {}
};

// The rows of a product, MaxRows(k) or fewer, by the 16 * kVectors channels that `panels` and
// `epilogue` are of.
//
//   Panels:   Make(k, count, panel) writes the steps of `count` k from k on, all but the last a
//             multiple of kUnit; ByTheWay(k, count, rows) gives what is called with each row then
//   Epilogue: Begin(row, sums) gives what the sums of a row begin with, End(row, sums) takes them;
//             Prefetch(row) is called before the products of their last pass
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
    auto by_the_way = panels.ByTheWay(k, count, rows);
    const auto begin = [&](size_t r, __m512i* sums) __attribute__((always_inline)) {
      if (is_last) epilogue.Prefetch(first + r);
      by_the_way();
      if (is_first) return epilogue.Begin(first + r, sums);
      for (size_t v = 0; v < kVectors; ++v) {
        sums[v] = _mm512_load_si512(partial + r * kChannels + kLanes32 * v);
      }
    };
    const auto end = [&](size_t r, const __m512i* sums) __attribute__((always_inline)) {
      if (is_last) return epilogue.End(first + r, sums);
      for (size_t v = 0; v < kVectors; ++v) {
        _mm512_store_si512(partial + r * kChannels + kLanes32 * v, sums[v]);
      }
    };
    RunRows<kSign, kVectors>(op.a + first * op.a_stride + k, op.a_stride, rows, count, panel, begin,
                             end);
  }
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_DRIVER_AVX512VNNI_H_
