// Tiles of an int8 matrix product with VPDPBUSD, for files built with AVX512-VNNI flags.
//
// VPDPBUSD multiplies unsigned by signed bytes. A panel of unsigned bytes meets signed rows, and
// one of signed bytes unsigned rows. Signed values become unsigned by an offset. That of a panel
// adds offset times the sum of the row to each of its sums, which SumsOfRows gives; that of rows
// offset times the sum of a channel.

#ifndef PQV_KERNELS_GEMM_TILE_AVX512VNNI_H_
#define PQV_KERNELS_GEMM_TILE_AVX512VNNI_H_

#include <string.h>

#include "kernels/common/arithmetic_avx512.h"
#include "kernels/gemm/inner_product.h"

namespace pqv {
namespace avx512 {

constexpr size_t kGroup = 4;         // k of one step
constexpr size_t kVectorBytes = 64;  // of one step of 16 channels
constexpr size_t kTileRows = 6;      // 24 sums, 4 vectors of the panel, 1 of the row

enum class PanelSign { kUnsigned, kSigned };

// factor times the sum of each row's k bytes. rows > 0.
static inline void SumsOfRows(const int8_t* a, size_t stride, size_t rows, size_t k, int factor,
                              int32_t* results) {
  constexpr size_t kAtOnce = 4;
  const __m512i ones = _mm512_set1_epi8(1);
  for (size_t first = 0; first < rows; first += kLanes32) {
    __m512i sums[kLanes32];
    for (size_t r = 0; r < kLanes32; r += kAtOnce) {
      __m512i x[kAtOnce] = {};
      for (size_t i = 0; i < k; i += 64) {
        const __mmask64 lanes = FirstLanes(k - i);
#pragma GCC unroll 4
        for (size_t j = 0; j < kAtOnce; ++j) {
          const int8_t* const row = a + Min(first + r + j, rows - 1) * stride;
          x[j] = _mm512_dpbusd_epi32(x[j], ones, _mm512_maskz_loadu_epi8(lanes, row + i));
        }
      }
      for (size_t j = 0; j < kAtOnce; ++j) sums[r + j] = x[j];
    }
    const __m512i products = _mm512_mullo_epi32(SumRows(sums), _mm512_set1_epi32(factor));
    const __mmask16 lanes = static_cast<__mmask16>(FirstLanes(rows - first));
    _mm512_mask_storeu_epi32(results + first, lanes, products);
  }
}

static PQV_INLINE __m512i BroadcastGroup(const uint8_t* a) {
  int32_t group;
  memcpy(&group, a, kGroup);
  return _mm512_set1_epi32(group);
}

// A panel with kVectors vectors of 16 channels in each step, 4 k of each channel side by side.
template <size_t kVectors>
struct StepPanel {
  const uint8_t* steps;

  PQV_INLINE __m512i At(size_t step, size_t v) const {
    return _mm512_load_si512(steps + (step * kVectors + v) * kVectorBytes);
  }
};

// The same for Winograd's inner product, whose steps are triples of groups.
template <size_t kVectors>
struct TriplePanel {
  const uint8_t* steps;
};

// What is called beside products that have nothing beside them.
struct Nothing {
  PQV_INLINE void operator()() const {}
};

// sums[r][v] += rows times panel, whose vectors are At(step, v). Calls beside() in each step.
template <PanelSign kSign, size_t kRows, size_t kVectors, typename Panel, typename Beside>
static PQV_INLINE void Accumulate(const uint8_t* a, size_t stride, const Panel& panel,
                                  size_t groups, __m512i (&sums)[kRows][kVectors],
                                  const Beside& beside) {
  for (size_t g = 0; g < groups; ++g) {
    beside();
    __m512i w[kVectors];
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) w[v] = panel.At(g, v);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      const __m512i x = BroadcastGroup(a + r * stride + g * kGroup);
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) {
        sums[r][v] = kSign == PanelSign::kUnsigned ? _mm512_dpbusd_epi32(sums[r][v], w[v], x)
                                                   : _mm512_dpbusd_epi32(sums[r][v], x, w[v]);
      }
    }
  }
}

template <PanelSign, size_t kRows, size_t kVectors, typename Beside>
static PQV_INLINE void Accumulate(const uint8_t* a, size_t stride,
                                  const TriplePanel<kVectors>& panel, size_t triples,
                                  __m512i (&sums)[kRows][kVectors], const Beside& beside) {
  const StepPanel<kVectors> groups = {panel.steps};
  for (size_t g = 0; g < triples * kTripleGroups; g += kTripleGroups) {
    beside();
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      const uint8_t* const row = a + r * stride + g * kGroup;
      const __m512i x[kTripleGroups] = {BroadcastGroup(row), BroadcastGroup(row + kGroup),
                                        BroadcastGroup(row + 2 * kGroup)};
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) {
        const __m512i left = _mm512_add_epi8(x[0], groups.At(g + 1, v));
        const __m512i right = _mm512_add_epi8(x[1], groups.At(g, v));
        sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], left, right);
        sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], x[2], groups.At(g + 2, v));
      }
    }
  }
}

// begin(r, sums) sets the sums of row r before, end(r, sums) takes them after.
template <PanelSign kSign, size_t kRows, size_t kVectors, typename Panel, typename Begin,
          typename End, typename Beside>
static PQV_INLINE void RunTile(const uint8_t* a, size_t stride, size_t row, const Panel& panel,
                               size_t groups, const Begin& begin, const End& end,
                               const Beside& beside) {
  __m512i sums[kRows][kVectors];
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) begin(row + r, sums[r]);
  Accumulate<kSign>(a, stride, panel, groups, sums, beside);
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) end(row + r, sums[r]);
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_AVX512VNNI_H_
