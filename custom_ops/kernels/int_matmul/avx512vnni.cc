#include "kernels/common/tile_avx512vnni.h"
#include "kernels/int_matmul/avx512.h"
#include "kernels/int_matmul/int_matmul.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kBlockRows = 198;     // rows that share a panel
constexpr size_t kPanelChannels = 64;  // of B, which VPDPBUSD wants unsigned
constexpr int kOffset = 128;

// Rows of A from m on and 16 * kVectors or fewer channels from n on.
template <size_t kVectors>
void RunPanel(const IntMatMul& op, size_t m, size_t rows, const int32_t* correction, size_t n,
              uint8_t* panel) {
  const size_t channels = Min(op.n - n, kLanes32 * kVectors);
  const __mmask64 mask = FirstLanes(channels);
  int32_t* y = op.y + m * op.y_stride + n;
  const size_t pass = PassSize(op.k, kMaxPanelK, 64);
  for (size_t k = 0; k < op.k; k += pass) {
    const size_t count = Min(op.k - k, pass);
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t first = kLanes32 * v;
      TransposePanel(op.b + (n + first) * op.b_stride + k, op.b_stride, channels - first, count,
                     kOffset, kVectors * kVectorBytes, panel + v * kVectorBytes);
    }
    const auto begin = [&](size_t r, __m512i* sums) __attribute__((always_inline)) {
      for (size_t v = 0; v < kVectors; ++v) {
        const __mmask16 lanes = static_cast<__mmask16>(mask >> (kLanes32 * v));
        const int32_t* partial = y + r * op.y_stride + kLanes32 * v;
        sums[v] =
            k == 0 ? _mm512_set1_epi32(correction[r]) : _mm512_maskz_loadu_epi32(lanes, partial);
      }
    };
    const auto end = [&](size_t r, const __m512i* sums) __attribute__((always_inline)) {
      for (size_t v = 0; v < kVectors; ++v) {
        const __mmask16 lanes = static_cast<__mmask16>(mask >> (kLanes32 * v));
        _mm512_mask_storeu_epi32(y + r * op.y_stride + kLanes32 * v, lanes, sums[v]);
      }
    };
    RunRows<PanelSign::kUnsigned, kVectors>(
        reinterpret_cast<const uint8_t*>(op.a + m * op.a_stride + k), op.a_stride, rows, count,
        panel, begin, end);
  }
}

void RunBlock(const IntMatMul& op, size_t m, size_t rows) {
  alignas(64) uint8_t panel[kMaxPanelK * kPanelChannels];
  int32_t correction[kBlockRows];
  SumsOfRows(op.a + m * op.a_stride, op.a_stride, rows, op.k, -kOffset, correction);
  for (size_t n = 0; n < op.n; n += kPanelChannels) {
    switch ((Min(op.n - n, kPanelChannels) + kLanes32 - 1) / kLanes32) {
      case 1:
        RunPanel<1>(op, m, rows, correction, n, panel);
        break;
      case 2:
        RunPanel<2>(op, m, rows, correction, n, panel);
        break;
      case 3:
        RunPanel<3>(op, m, rows, correction, n, panel);
        break;
      default:
        RunPanel<4>(op, m, rows, correction, n, panel);
        break;
    }
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
  for (size_t m = 0; m < op.m; m += kBlockRows) RunBlock(op, m, Min(op.m - m, kBlockRows));
}

}  // namespace avx512vnni
}  // namespace pqv
