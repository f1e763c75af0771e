#include "kernels/common/fixed_point_avx2.h"
#include "kernels/common/tile_avx2.h"
#include "kernels/packed_matmul/layout.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace avx2 {
namespace {

using Accumulators = int32_t[kTileRows][kLanes];

size_t Min(size_t a, size_t b) { return a < b ? a : b; }

// The epilogues turn sums of products of `rows` rows and 16 channels from n on into output.

struct ToInt8 {
  using Output = int8_t;

  static void Store(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row, size_t rows,
                    size_t n, const Accumulators& sums, int8_t* y) {
    const size_t count = Min(block.channel_end - n, kLanes);
    const Requantizer requantizer = LoadRequantizer(op.requantizer, n);
    const Int32x16 bias = Load32(op.bias + n);
    for (size_t r = 0; r < rows; ++r) {
      __m256i u = Requantize16(requantizer, Add32(Load32(sums[r]), bias));
      if (op.residual_multiplier != nullptr) {
        const size_t source = (row + r) % block.residual_rows * block.residual_stride + n;
        u = _mm256_adds_epi16(u, Residual16(op, block.residual + source, count, n));
      }
      StorePartial8(y + (row + r) * block.y_stride + n, Narrow16(u, op.y_bits), count);
    }
  }

  static __m256i Residual16(const PackedMatMul& op, const int8_t* residual, size_t count,
                            size_t n) {
    const __m256i x = _mm256_cvtepi8_epi16(LoadPartial8(residual, count));
    const __m256i* multiplier = reinterpret_cast<const __m256i*>(op.residual_multiplier + n);
    return _mm256_mulhrs_epi16(_mm256_slli_epi16(x, 8), _mm256_loadu_si256(multiplier));
  }
};

struct ToInt32 {
  using Output = int32_t;

  static void Store(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row, size_t rows,
                    size_t n, const Accumulators& sums, int32_t* y) {
    const size_t count = Min(block.channel_end - n, kLanes);
    const Int32x16 bias = Load32(op.bias + n);
    for (size_t r = 0; r < rows; ++r) {
      StorePartial32(y + (row + r) * block.y_stride + n, Add32(Load32(sums[r]), bias), count);
    }
  }
};

// int8 weights.
//
// Packed as panels of 16 channels in the form "k2n16" that AccumulateTile reads, k zero-padded to
// a multiple of 4.
namespace int8 {

constexpr size_t kChunk = 2048;  // k per pass: 24 KiB of widened activations stay in L1

size_t PanelBytes(size_t k) { return CeilDivide(k, kGroupSize) * kGroupSize * kLanes; }

size_t PackedBytes(size_t k, size_t n) { return CeilDivide(n, kLanes) * PanelBytes(k); }

void Pack(const void* n8k4, size_t k, size_t n, void* weights) {
  const size_t k_padded = CeilDivide(k, kGroupSize) * kGroupSize;
  const size_t n_padded = CeilDivide(n, kPanelChannels) * kPanelChannels;
  int8_t* target = static_cast<int8_t*>(weights);
  for (size_t panel = 0; panel < n; panel += kLanes) {
    for (size_t pair = 0; pair < k_padded; pair += 2) {
      for (size_t channel = panel; channel < panel + kLanes; ++channel) {
        for (size_t i = pair; i < pair + 2; ++i) {
          *target++ = channel < n_padded ? WeightAt(n8k4, 8, k, i, channel) : int8_t{0};
        }
      }
    }
  }
}

template <typename Epilogue>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  WideRows<kChunk> wide;
  for (size_t row = block.row_begin; row < block.row_end; row += kTileRows) {
    const size_t rows = Min(block.row_end - row, kTileRows);
    const int8_t* a = block.a + row * block.a_stride;
    if (op.k <= kChunk) WidenRows(a, block.a_stride, rows, op.k, &wide);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      const int8_t* panel = static_cast<const int8_t*>(op.weights) + n / kLanes * PanelBytes(op.k);
      alignas(32) Accumulators sums = {};
      for (size_t k = 0; k < op.k; k += kChunk) {
        const size_t k_count = Min(op.k - k, kChunk);
        if (op.k > kChunk) WidenRows(a + k, block.a_stride, rows, k_count, &wide);
        AccumulateTile(wide, rows, panel + k * kLanes, CeilDivide(k_count, 2), sums);
      }
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

}  // namespace int8

// int4 weights.
//
// Packed as panels of 16 channels: 32 bytes hold a group of 4 k, the low nibble of byte 4 * c + j
// is W[4g + j, c] + 8, its high nibble W[4g + j, c + 8] + 8. The offset makes weights unsigned, as
// vpmaddubsw wants its first operand, and activations need no preparation; what it adds to a sum,
// 8 times the sum of the row's activations, is taken off once per row.
namespace int4 {

constexpr int kOffset = 8;
constexpr size_t kStepBytes = 32;
// Steps whose int16 sums cannot saturate: 8 * 2 * 15 * 128 = 30720.
constexpr size_t kStepsPerFlush = 8;

size_t PanelBytes(size_t k) { return CeilDivide(k, kGroupSize) * kStepBytes; }

size_t PackedBytes(size_t k, size_t n) { return CeilDivide(n, kLanes) * PanelBytes(k); }

void Pack(const void* n8k4, size_t k, size_t n, void* weights) {
  const size_t k_padded = CeilDivide(k, kGroupSize) * kGroupSize;
  const size_t n_padded = CeilDivide(n, kPanelChannels) * kPanelChannels;
  uint8_t* target = static_cast<uint8_t*>(weights);
  for (size_t panel = 0; panel < n; panel += kLanes) {
    const bool has_second_half = panel + kPanelChannels < n_padded;
    for (size_t group = 0; group < k_padded; group += kGroupSize) {
      for (size_t channel = panel; channel < panel + kPanelChannels; ++channel) {
        for (size_t i = group; i < group + kGroupSize; ++i) {
          const int low = WeightAt(n8k4, 4, k, i, channel);
          const int high = has_second_half ? WeightAt(n8k4, 4, k, i, channel + kPanelChannels) : 0;
          *target++ = static_cast<uint8_t>((low + kOffset) | (high + kOffset) << 4);
        }
      }
    }
  }
}

int32_t RowSum(const int8_t* a, size_t k) {
  const __m256i ones = _mm256_set1_epi8(1);
  __m256i sums = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + 32 <= k; i += 32) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i));
    const __m256i pairs = _mm256_maddubs_epi16(ones, x);
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  int32_t sum = Sum32(sums);
  for (; i < k; ++i) sum += a[i];
  return sum;
}

// The group of activations that starts at a, zero beyond `count`.
__m256i BroadcastGroup(const int8_t* a, size_t count) {
  int32_t group = 0;
  memcpy(&group, a, count);
  return _mm256_set1_epi32(group);
}

struct Weights {
  __m256i low;   // channels 0..7, 4 k each
  __m256i high;  // channels 8..15
};

Weights Unpack(const uint8_t* step) {
  const __m256i mask = _mm256_set1_epi8(0x0F);
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(step));
  return {_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask)};
}

// Adds int16 sums of pairs to the sums of their channels.
void Flush(__m256i low, __m256i high, int32_t* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  const Int32x16 wide = {_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones)};
  Store32(sums, Add32(Load32(sums), wide));
}

template <size_t kRows>
void AccumulateGroups(const int8_t* a, size_t stride, const uint8_t* panel, size_t k,
                      Accumulators& sums) {
  while (k > 0) {
    __m256i low[kRows] = {};
    __m256i high[kRows] = {};
    const size_t steps = Min(k / kGroupSize, kStepsPerFlush);
    for (size_t s = 0; s < steps; ++s) {
      const Weights w = Unpack(panel + s * kStepBytes);
      for (size_t r = 0; r < kRows; ++r) {
        const __m256i x = BroadcastGroup(a + r * stride + s * kGroupSize, kGroupSize);
        low[r] = _mm256_add_epi16(low[r], _mm256_maddubs_epi16(w.low, x));
        high[r] = _mm256_add_epi16(high[r], _mm256_maddubs_epi16(w.high, x));
      }
    }
    if (steps == 0) {  // the last k % 4
      const Weights w = Unpack(panel);
      for (size_t r = 0; r < kRows; ++r) {
        const __m256i x = BroadcastGroup(a + r * stride, k);
        low[r] = _mm256_maddubs_epi16(w.low, x);
        high[r] = _mm256_maddubs_epi16(w.high, x);
      }
    }
    for (size_t r = 0; r < kRows; ++r) Flush(low[r], high[r], sums[r]);
    if (steps == 0) return;
    a += steps * kGroupSize;
    panel += steps * kStepBytes;
    k -= steps * kGroupSize;
  }
}

void AccumulateTile(const int8_t* a, size_t stride, size_t rows, const uint8_t* panel, size_t k,
                    Accumulators& sums) {
  switch (rows) {
    case 1:
      return AccumulateGroups<1>(a, stride, panel, k, sums);
    case 2:
      return AccumulateGroups<2>(a, stride, panel, k, sums);
    case 3:
      return AccumulateGroups<3>(a, stride, panel, k, sums);
    case 4:
      return AccumulateGroups<4>(a, stride, panel, k, sums);
    case 5:
      return AccumulateGroups<5>(a, stride, panel, k, sums);
    default:
      return AccumulateGroups<6>(a, stride, panel, k, sums);
  }
}

template <typename Epilogue>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  for (size_t row = block.row_begin; row < block.row_end; row += kTileRows) {
    const size_t rows = Min(block.row_end - row, kTileRows);
    const int8_t* a = block.a + row * block.a_stride;
    alignas(32) Accumulators offsets;
    for (size_t r = 0; r < rows; ++r) {
      const __m256i offset = _mm256_set1_epi32(-kOffset * RowSum(a + r * block.a_stride, op.k));
      Store32(offsets[r], {offset, offset});
    }
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      const uint8_t* panel =
          static_cast<const uint8_t*>(op.weights) + n / kLanes * PanelBytes(op.k);
      alignas(32) Accumulators sums;
      memcpy(sums, offsets, rows * sizeof(sums[0]));
      AccumulateTile(a, block.a_stride, rows, panel, op.k, sums);
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

}  // namespace int4

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = {
    kTileRows, kLanes, int4::PackedBytes, int4::Pack, int4::Run<ToInt8>, int4::Run<ToInt32>};
const PackedMatMulKernel kPackedInt8MatMul = {
    kTileRows, kLanes, int8::PackedBytes, int8::Pack, int8::Run<ToInt8>, int8::Run<ToInt32>};

}  // namespace avx2
}  // namespace pqv
