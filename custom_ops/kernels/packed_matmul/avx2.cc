#include "kernels/common/fixed_point_avx2.h"
#include "kernels/common/tile_avx2.h"
#include "kernels/packed_matmul/layout.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace avx2 {
namespace {

size_t Min(size_t a, size_t b) { return a < b ? a : b; }

// kTileRows or fewer rows of a block.
struct Tile {
  size_t row;
  size_t rows;
  const int8_t* a;
  const int8_t* residual[kTileRows];  // of each row
};

Tile TileAt(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row) {
  Tile tile = {row, Min(block.row_end - row, kTileRows), block.a + row * block.a_stride, {}};
  for (size_t r = 0; op.residual_multiplier != nullptr && r < tile.rows; ++r) {
    tile.residual[r] = block.residual + (row + r) % block.residual_rows * block.residual_stride;
  }
  return tile;
}

// The epilogues turn the sums of products of a tile and 16 channels from n on into output.

struct ToInt8 {
  using Output = int8_t;

  static void Store(const PackedMatMul& op, const PackedMatMulBlock& block, const Tile& tile,
                    size_t n, const int32_t (*sums)[kLanes], int8_t* y) {
    const size_t count = Min(block.channel_end - n, kLanes);
    const Requantizer requantizer = LoadRequantizer(op.requantizer, n);
    const Int32x16 bias = Load32(op.bias + n);
    for (size_t r = 0; r < tile.rows; ++r) {
      __m256i u = Requantize16(requantizer, Add32(Load32(sums[r]), bias));
      if (op.residual_multiplier != nullptr) {
        u = _mm256_adds_epi16(u, Residual16(op, tile.residual[r] + n, count, n));
      }
      StorePartial8(y + (tile.row + r) * block.y_stride + n, Narrow16(u, op.y_bits), count);
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

  static void Store(const PackedMatMul& op, const PackedMatMulBlock& block, const Tile& tile,
                    size_t n, const int32_t (*sums)[kLanes], int32_t* y) {
    const size_t count = Min(block.channel_end - n, kLanes);
    const Int32x16 bias = Load32(op.bias + n);
    for (size_t r = 0; r < tile.rows; ++r) {
      int32_t* target = y + (tile.row + r) * block.y_stride + n;
      StorePartial32(target, Add32(Load32(sums[r]), bias), count);
    }
  }
};

// int8 weights.
//
// Packed as panels of 16 channels in the form "k2n16" that AccumulateTile reads, k zero-padded to
// a multiple of 4.
namespace int8 {

constexpr size_t kChunk = 2048;  // k per pass: 16 KiB of widened activations stay in L1

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
    const Tile tile = TileAt(op, block, row);
    if (op.k <= kChunk) WidenRows(tile.a, block.a_stride, tile.rows, op.k, &wide);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      const int8_t* panel = static_cast<const int8_t*>(op.weights) + n / kLanes * PanelBytes(op.k);
      alignas(32) int32_t sums[kTileRows][kLanes] = {};
      for (size_t k = 0; k < op.k; k += kChunk) {
        const size_t count = Min(op.k - k, kChunk);
        if (op.k > kChunk) WidenRows(tile.a + k, block.a_stride, tile.rows, count, &wide);
        AccumulateTile(wide, tile.rows, panel + k * kLanes, CeilDivide(count, 2), sums);
      }
      Epilogue::Store(op, block, tile, n, sums, y);
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

__m256i BroadcastGroup(const int8_t* a) {
  int32_t group;
  memcpy(&group, a, kGroupSize);
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

// Adds the sums of products of kCount rows over `groups` whole groups of k.
template <size_t kCount>
void AccumulateGroups(const int8_t* a, size_t stride, const uint8_t* panel, size_t groups,
                      int32_t (*sums)[kLanes]) {
  for (size_t first = 0; first < groups; first += kStepsPerFlush) {
    const size_t end = Min(groups, first + kStepsPerFlush);
    __m256i low[kCount];
    __m256i high[kCount];
    for (size_t r = 0; r < kCount; ++r) low[r] = high[r] = _mm256_setzero_si256();
    for (size_t g = first; g < end; ++g) {
      const Weights w = Unpack(panel + g * kStepBytes);
      for (size_t r = 0; r < kCount; ++r) {
        const __m256i x = BroadcastGroup(a + r * stride + g * kGroupSize);
        low[r] = _mm256_add_epi16(low[r], _mm256_maddubs_epi16(w.low, x));
        high[r] = _mm256_add_epi16(high[r], _mm256_maddubs_epi16(w.high, x));
      }
    }
    for (size_t r = 0; r < kCount; ++r) Flush(low[r], high[r], sums[r]);
  }
}

void AccumulateTile(const int8_t* a, size_t stride, size_t rows, const uint8_t* panel,
                    size_t groups, int32_t (*sums)[kLanes]) {
  switch (rows) {
    case 1:
      return AccumulateGroups<1>(a, stride, panel, groups, sums);
    case 2:
      return AccumulateGroups<2>(a, stride, panel, groups, sums);
    case 3:
      return AccumulateGroups<3>(a, stride, panel, groups, sums);
    default:
      return AccumulateGroups<4>(a, stride, panel, groups, sums);
  }
}

template <typename Epilogue>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  const size_t groups = op.k / kGroupSize;
  const size_t tail = op.k % kGroupSize;
  for (size_t row = block.row_begin; row < block.row_end; row += kTileRows) {
    const Tile tile = TileAt(op, block, row);
    alignas(32) int32_t offsets[kTileRows][kLanes];
    int8_t tail_rows[kTileRows][kGroupSize] = {};  // the last group, zero-padded
    for (size_t r = 0; r < tile.rows; ++r) {
      const int8_t* a = tile.a + r * block.a_stride;
      const __m256i offset = _mm256_set1_epi32(-kOffset * RowSum(a, op.k));
      Store32(offsets[r], {offset, offset});
      memcpy(tail_rows[r], a + groups * kGroupSize, tail);
    }
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      const uint8_t* panel =
          static_cast<const uint8_t*>(op.weights) + n / kLanes * PanelBytes(op.k);
      alignas(32) int32_t sums[kTileRows][kLanes];
      memcpy(sums, offsets, tile.rows * sizeof(sums[0]));
      AccumulateTile(tile.a, block.a_stride, tile.rows, panel, groups, sums);
      if (tail > 0) {
        AccumulateTile(tail_rows[0], kGroupSize, tile.rows, panel + groups * kStepBytes, 1, sums);
      }
      Epilogue::Store(op, block, tile, n, sums, y);
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
