// What the AVX512-VNNI and the AMX kernels of the packed matmuls share: the epilogues.

#ifndef PQV_KERNELS_PACKED_MATMUL_AVX512_H_
#define PQV_KERNELS_PACKED_MATMUL_AVX512_H_

#include "kernels/common/arithmetic_avx512.h"
#include "kernels/packed_matmul/layout.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace avx512 {

// Which ways the channels of an epilogue are shifted; kLeft, too, where none is.
enum class Shifts { kLeft, kRight, kBoth };
constexpr size_t kShifts = 3;

// The epilogues turn the sums of a row and 16 * kVectors channels from n on into output. Store()
// takes the products alone, StoreSums() sums that began with First().

template <size_t kVectors, typename Order>
class Int8Epilogue {
 public:
  using Output = int8_t;

  PQV_INLINE Int8Epilogue(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n,
                          int8_t* y)
      : block_(block), n_(n), y_(y), limits_(MakeLimits(op.y_bits)) {
    mask_ = FirstLanes(Min(block.channel_end - n, kLanes32 * kVectors));
    LoadRequantizer<Order>(op.requantizer, n, &requantizer_);
    // Sums below 2^29, a bias and a rounding up to 2^29: still an int32.
    Order::Load32(op.rounded_bias + n, requantizer_.rounding);
    ChooseShift(op.k);
    has_residual_ = op.residual_multiplier != nullptr;
    if (has_residual_) Order::Load16(op.residual_multiplier + n, residual_multiplier_);
  }

  // Brings into L2 what the epilogue of the channels from n on is made of.
  static PQV_INLINE void PrefetchChannels(const PackedMatMul& op, size_t n) {
    const ChannelRequantizer& r = op.requantizer;
    const int32_t* const arrays[] = {op.rounded_bias, r.right_shift, r.left_shift};
    for (const int32_t* x : arrays) {
      for (size_t v = 0; v < kVectors; ++v) _mm_prefetch(x + n + kLanes32 * v, _MM_HINT_T1);
    }
    for (size_t v = 0; v < kVectors; v += 2) {
      _mm_prefetch(r.multiplier + n + kLanes32 * v, _MM_HINT_T1);
    }
  }

  PQV_INLINE const __m512i* First() const { return requantizer_.rounding; }

  PQV_INLINE void Store(size_t row, const __m512i* products) const {
    __m512i sums[kVectors];
    for (size_t v = 0; v < kVectors; ++v) sums[v] = _mm512_add_epi32(products[v], First()[v]);
    StoreSums(row, sums);
  }

  PQV_INLINE void StoreSums(size_t row, const __m512i* sums) const {
    __m512i u[kVectors / 2];
    Requantize(sums, u);
    if (has_residual_) AddResidual(row, u);
    int8_t* const y = y_ + row * block_.y_stride + n_;
    const __m512i channels = Order::ToMemory(Narrow16<kVectors>(u, limits_));
    if constexpr (kVectors == 4) {
      _mm512_mask_storeu_epi8(y, mask_, channels);
    } else {  // a masked vector of twice the width would touch two lines
      _mm256_mask_storeu_epi8(y, static_cast<__mmask32>(mask_), _mm512_castsi512_si256(channels));
    }
  }

  // Asks for the line that Store(row) will write.
  PQV_INLINE void Prefetch(size_t row) const {
    __builtin_prefetch(y_ + row * block_.y_stride + n_, /*rw=*/1);
  }

  // Whether no sum leaves an int32 when it is shifted to the left.
  bool fits_shifted() const { return fits_shifted_; }

  Shifts shifts() const { return shifts_; }

 private:
  // Which ways channels are shifted, and whether a sum may leave an int32 on its way to the left.
  // Of few products, for outputs of 4 bits, none does, and often none is shifted right.
  // What First() rounds by does not count: channels that are shifted to the left have none.
  PQV_INLINE void ChooseShift(size_t k) {
    const __m512i max_sum = _mm512_set1_epi32(static_cast<int32_t>(k << 14));  // 128 * 128 * k
    const __m512i max_int32 = _mm512_set1_epi32(INT32_MAX);
    __mmask16 left = 0;
    __mmask16 right = 0;
    __mmask16 beyond = 0;
    for (size_t v = 0; v < kVectors; ++v) {
      const __m512i shift = requantizer_.left[v];
      const __m512i max_acc = _mm512_add_epi32(max_sum, _mm512_abs_epi32(First()[v]));
      left |= _mm512_test_epi32_mask(shift, shift);
      right |= _mm512_test_epi32_mask(requantizer_.right[v], requantizer_.right[v]);
      beyond |= _mm512_cmpgt_epi32_mask(max_acc, _mm512_srlv_epi32(max_int32, shift));
    }
    requantizer_.has_left = left != 0;
    fits_shifted_ = beyond == 0;
    shifts_ = right == 0 ? Shifts::kLeft : left == 0 ? Shifts::kRight : Shifts::kBoth;
  }

  PQV_INLINE void Requantize(const __m512i* sums, __m512i* u) const {
    if (!fits_shifted_ || shifts_ != Shifts::kLeft) {
      return Requantize16<kVectors>(requantizer_, sums, u);
    }
    __m512i t[kVectors];
    for (size_t v = 0; v < kVectors; ++v) t[v] = _mm512_sllv_epi32(sums[v], requantizer_.left[v]);
    Multiply16<kVectors>(requantizer_, t, u);
  }

  PQV_INLINE void AddResidual(size_t row, __m512i* u) const {
    const size_t source = row < block_.residual_rows ? row : row % block_.residual_rows;
    const int8_t* residual = block_.residual + source * block_.residual_stride + n_;
    __m512i r[kVectors / 2];
    Widen256<kVectors>(Order::ToPacked(_mm512_maskz_loadu_epi8(mask_, residual)), r);
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
  bool fits_shifted_;
  Shifts shifts_;
  bool has_residual_;
  __m512i residual_multiplier_[kVectors / 2];
};

template <size_t kVectors, typename Order>
class Int32Epilogue {
 public:
  using Output = int32_t;

  PQV_INLINE Int32Epilogue(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n,
                           int32_t* y)
      : block_(block), n_(n), y_(y) {
    mask_ = FirstLanes(Min(block.channel_end - n, kLanes32 * kVectors));
    Order::Load32(op.bias + n, bias_);
  }

  static PQV_INLINE void PrefetchChannels(const PackedMatMul& op, size_t n) {
    for (size_t v = 0; v < kVectors; ++v) _mm_prefetch(op.bias + n + kLanes32 * v, _MM_HINT_T1);
  }

  PQV_INLINE const __m512i* First() const { return bias_; }

  PQV_INLINE void Store(size_t row, const __m512i* products) const {
    __m512i sums[kVectors];
    for (size_t v = 0; v < kVectors; ++v) sums[v] = _mm512_add_epi32(products[v], bias_[v]);
    StoreSums(row, sums);
  }

  PQV_INLINE void StoreSums(size_t row, const __m512i* sums) const {
    __m512i y[kVectors];
    for (size_t v = 0; v < kVectors; ++v) y[v] = sums[v];
    Order::ToNatural(y);
    int32_t* target = y_ + row * block_.y_stride + n_;
    for (size_t v = 0; v < kVectors; ++v) {
      const __mmask16 mask = static_cast<__mmask16>(mask_ >> (kLanes32 * v));
      _mm512_mask_storeu_epi32(target + kLanes32 * v, mask, y[v]);
    }
  }

  // Asks for the first line that Store(row) will write.
  PQV_INLINE void Prefetch(size_t row) const {
    __builtin_prefetch(y_ + row * block_.y_stride + n_, /*rw=*/1);
  }

 private:
  const PackedMatMulBlock& block_;
  size_t n_;
  int32_t* y_;
  __mmask64 mask_;
  __m512i bias_[kVectors];
};

// Sums of panels that Expand makes.
template <size_t kVectors>
using ToInt8 = Int8Epilogue<kVectors, TileOrder<kVectors>>;
template <size_t kVectors>
using ToInt32 = Int32Epilogue<kVectors, TileOrder<kVectors>>;

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_AVX512_H_
