#include "kernels/gemm/driver_avx512vnni.h"
#include "kernels/int_matmul/avx512.h"
#include "kernels/int_matmul/int_matmul.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kPanelChannels = 64;
constexpr int kOffset = 128;  // of B, which VPDPBUSD wants unsigned

// 16 * kVectors or fewer rows of B from n on.
template <size_t kVectors>
struct RowPanels {
  static constexpr size_t kUnit = 64;
  const IntMatMul& op;
  size_t n;

  PQV_INLINE void Make(size_t k, size_t count, uint8_t* panel) const {
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t first = n + kLanes32 * v;
      TransposePanel(op.b + first * op.b_stride + k, op.b_stride, op.n - first, count, kOffset,
                     kVectors * kVectorBytes, panel + v * kVectorBytes);
    }
  }
};

template <size_t kVectors>
class ToInt32 {
 public:
  PQV_INLINE ToInt32(const IntMatMul& op, size_t n, const int32_t* correction)
      : y_(op.y + n), stride_(op.y_stride), lanes_(FirstLanes(op.n - n)), correction_(correction) {}

  PQV_INLINE void Begin(size_t row, __m512i* sums) const {
    for (size_t v = 0; v < kVectors; ++v) sums[v] = _mm512_set1_epi32(correction_[row]);
  }

  PQV_INLINE void End(size_t row, const __m512i* sums) const {
    for (size_t v = 0; v < kVectors; ++v) {
      const __mmask16 lanes = static_cast<__mmask16>(lanes_ >> (kLanes32 * v));
      _mm512_mask_storeu_epi32(y_ + row * stride_ + kLanes32 * v, lanes, sums[v]);
    }
  }

 private:
  int32_t* const y_;
  const size_t stride_;
  const __mmask64 lanes_;
  const int32_t* const correction_;
};

template <size_t kVectors>
void RunChannels(const IntMatMul& op, const Product& rows, size_t n, const int32_t* correction) {
  RunPanel<PanelSign::kUnsigned, kVectors>(rows, RowPanels<kVectors>{op, n},
                                           ToInt32<kVectors>(op, n, correction));
}

// The rows of `op`, MaxRows(k) or fewer.
void RunBlock(const IntMatMul& op) {
  int32_t correction[kMaxRows];
  SumsOfRows(op.a, op.a_stride, op.m, op.k, -kOffset, correction);
  const Product rows = {0,          op.m, 0, op.n, op.k, reinterpret_cast<const uint8_t*>(op.a),
                        op.a_stride};
  for (size_t n = 0; n < op.n; n += kPanelChannels) {
    WithCount<4>(CeilDivide(Min(op.n - n, kPanelChannels), kLanes32), [&](auto vectors) {
      RunChannels<decltype(vectors)::kValue>(op, rows, n, correction);
    });
  }
}

void Clear(const IntMatMul& op) {
  for (size_t m = 0; m < op.m; ++m) {
    memset(op.y + m * op.y_stride, 0, op.n * sizeof(int32_t));
  }
}

}  // namespace

void RunIntMatMul(const IntMatMul& op) {
  if (op.k == 0) return Clear(op);
  const size_t rows = MaxRows(op.k);
  for (size_t m = 0; m < op.m; m += rows) {
    IntMatMul block = op;
    block.m = Min(op.m - m, rows);
    block.a += m * op.a_stride;
    block.y += m * op.y_stride;
    RunBlock(block);
  }
}

}  // namespace avx512vnni
}  // namespace pqv
