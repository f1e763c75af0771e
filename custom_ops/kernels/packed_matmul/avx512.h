// What the AVX512-VNNI and the AMX kernels of the packed matmuls share: the weights of the file as
// panels, and the epilogues.

#ifndef PQV_KERNELS_PACKED_MATMUL_AVX512_H_
#define PQV_KERNELS_PACKED_MATMUL_AVX512_H_

#include "kernels/common/fixed_point_avx512.h"
#include "kernels/packed_matmul/layout.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace avx512 {

constexpr size_t kPanelLanes = 4;  // of 128 bits: 4 channels, 4 k each

// Lanes of four panels of the file, which are `stride` bytes apart.
static PQV_INLINE __m512i GatherLanes(const uint8_t* const* panels, size_t step, size_t offset) {
  __m512i x =
      _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(panels[0] + offset)));
  x = _mm512_inserti32x4(
      x, _mm_loadu_si128(reinterpret_cast<const __m128i*>(panels[step] + offset)), 1);
  x = _mm512_inserti32x4(
      x, _mm_loadu_si128(reinterpret_cast<const __m128i*>(panels[2 * step] + offset)), 2);
  return _mm512_inserti32x4(
      x, _mm_loadu_si128(reinterpret_cast<const __m128i*>(panels[3 * step] + offset)), 3);
}

// Writes channels n .. n + 16 * kVectors - 1 of `groups` groups of 4 k from group `first` on as
// steps of kVectors vectors in tile order. `Form` says what bytes the tile wants. Channels beyond
// the last panel of the file are copies of others.
template <int kBits, size_t kVectors, typename Form>
static inline void Expand(const PackedMatMul& op, size_t n, size_t first, size_t groups,
                          uint8_t* target) {
  constexpr size_t kPanels = 2 * kVectors;
  constexpr size_t kStep = kVectors / 2;  // from lane to lane of a vector, in panels
  const size_t last_panel = CeilDivide(op.n, kPanelChannels) - 1;
  const uint8_t* panels[kPanels];
  for (size_t p = 0; p < kPanels; ++p) {
    const size_t panel = Min(n / kPanelChannels + p, last_panel);
    panels[p] = Group(op.weights, kBits, op.k, first * kGroupSize, panel * kPanelChannels);
  }
  for (size_t g = 0; g < groups; ++g) {
    const size_t offset = g * GroupBytes(kBits);
#pragma GCC unroll 2
    for (size_t half = 0; half < kVectors / 2; ++half) {
      __m512i low, high;
      if constexpr (kBits == 8) {
        low = Form::Int8(GatherLanes(panels + half, kStep, offset));
        high = Form::Int8(GatherLanes(panels + half, kStep, offset + 16));
      } else {
        const __m512i nibbles = GatherLanes(panels + half, kStep, offset);
        low = Form::LowInt4(nibbles);
        high = Form::HighInt4(nibbles);
      }
      _mm512_store_si512(target, low);
      _mm512_store_si512(target + 64, high);
      target += 128;
    }
  }
}

// The epilogues turn the sums of products of a row and 16 * kVectors channels from n on, in tile
// order, into output.

template <size_t kVectors>
class ToInt8 {
 public:
  using Output = int8_t;

  ToInt8(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n, int8_t* y)
      : block_(block), n_(n), y_(y), limits_(MakeLimits(op.y_bits)) {
    mask_ = FirstLanes(Min(block.channel_end - n, kLanes32 * kVectors));
    LoadRequantizer<kVectors>(op.requantizer, n, &requantizer_);
    __m512i bias[kVectors];
    LoadTileOrder32<kVectors>(op.bias + n, bias);
    // Sums below 2^29, a bias and a rounding up to 2^29: still an int32.
    for (size_t v = 0; v < kVectors; ++v) {
      requantizer_.rounding[v] = _mm512_add_epi32(requantizer_.rounding[v], bias[v]);
    }
    has_residual_ = op.residual_multiplier != nullptr;
    if (has_residual_) LoadTileOrder16<kVectors>(op.residual_multiplier + n, residual_multiplier_);
  }

  PQV_INLINE void Store(size_t row, const __m512i* sums) const {
    __m512i u[kVectors / 2];
    Requantize16<kVectors>(requantizer_, sums, u);
    if (has_residual_) AddResidual(row, u);
    _mm512_mask_storeu_epi8(y_ + row * block_.y_stride + n_, mask_, Narrow16<kVectors>(u, limits_));
  }

 private:
  PQV_INLINE void AddResidual(size_t row, __m512i* u) const {
    const size_t source = row < block_.residual_rows ? row : row % block_.residual_rows;
    const int8_t* residual = block_.residual + source * block_.residual_stride + n_;
    __m512i r[kVectors / 2];
    Widen256<kVectors>(_mm512_maskz_loadu_epi8(mask_, residual), r);
    for (size_t i = 0; i < kVectors / 2; ++i) {
      u[i] = _mm512_adds_epi16(u[i], _mm512_mulhrs_epi16(r[i], residual_multiplier_[i]));
    }
  }

  const PackedMatMulBlock& block_;
  size_t n_;
  int8_t* y_;
  __mmask64 mask_;
  Limits limits_;
  Requantizer<kVectors> requantizer_;
  bool has_residual_;
  __m512i residual_multiplier_[kVectors / 2];
};

template <size_t kVectors>
class ToInt32 {
 public:
  using Output = int32_t;

  ToInt32(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n, int32_t* y)
      : block_(block), n_(n), y_(y) {
    mask_ = FirstLanes(Min(block.channel_end - n, kLanes32 * kVectors));
    LoadTileOrder32<kVectors>(op.bias + n, bias_);
  }

  PQV_INLINE void Store(size_t row, const __m512i* sums) const {
    __m512i y[kVectors];
    for (size_t v = 0; v < kVectors; ++v) y[v] = _mm512_add_epi32(sums[v], bias_[v]);
    ToNaturalOrder<kVectors>(y);
    int32_t* target = y_ + row * block_.y_stride + n_;
    for (size_t v = 0; v < kVectors; ++v) {
      const __mmask16 mask = static_cast<__mmask16>(mask_ >> (kLanes32 * v));
      _mm512_mask_storeu_epi32(target + kLanes32 * v, mask, y[v]);
    }
  }

 private:
  const PackedMatMulBlock& block_;
  size_t n_;
  int32_t* y_;
  __mmask64 mask_;
  __m512i bias_[kVectors];
};

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_AVX512_H_
