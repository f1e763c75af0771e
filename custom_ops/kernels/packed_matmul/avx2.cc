#include "kernels/common/arithmetic_avx2.h"
#include "kernels/common/tile_avx2.h"
#include "kernels/packed_matmul/layout.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace avx2 {
namespace {

static_assert(kPanelChannels == kTileChannels && kGroupSize == kTileGroup, "tiles read the file");

// The epilogues turn the sums of `rows` rows from `row` on and 16 channels from n on into output.

struct ToInt8 {
  using Output = int8_t;

  static void Store(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row, size_t rows,
                    size_t n, const int32_t (*sums)[kLanes], int8_t* y) {
    const size_t count = Min(block.channel_end - n, kLanes);
    Requantizer requantizer = LoadRequantizer(op.requantizer, n);
    // A right shift adds its rounding anyway; where there is a left one, that is zero.
    requantizer.shifter.rounding = Add32(requantizer.shifter.rounding, Load32(op.bias + n));
    // Copies, which stores of int8 cannot change.
    const size_t y_stride = block.y_stride;
    const int y_bits = op.y_bits;
    y += row * y_stride + n;
    if (op.residual_multiplier == nullptr) {
      for (size_t r = 0; r < rows; ++r) {
        const __m256i u = Requantize16(requantizer, Load32(sums[r]));
        StorePartial8(y + r * y_stride, Narrow16(u, y_bits), count);
      }
      return;
    }
    const __m256i multiplier = Load32Bytes(op.residual_multiplier + n);
    size_t residual_row = row % block.residual_rows;
    for (size_t r = 0; r < rows; ++r) {
      const int8_t* residual = block.residual + residual_row * block.residual_stride + n;
      const __m256i x = _mm256_slli_epi16(_mm256_cvtepi8_epi16(LoadPartial8(residual, count)), 8);
      const __m256i u = Requantize16(requantizer, Load32(sums[r]));
      StorePartial8(y + r * y_stride,
                    Narrow16(_mm256_adds_epi16(u, _mm256_mulhrs_epi16(x, multiplier)), y_bits),
                    count);
      if (++residual_row == block.residual_rows) residual_row = 0;
    }
  }
};

struct ToInt32 {
  using Output = int32_t;

  static void Store(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row, size_t rows,
                    size_t n, const int32_t (*sums)[kLanes], int32_t* y) {
    const size_t count = Min(block.channel_end - n, kLanes);
    const Int32x16 bias = Load32(op.bias + n);
    for (size_t r = row; r < row + rows; ++r) {
      StorePartial32(y + r * block.y_stride + n, Add32(Load32(*sums++), bias), count);
    }
  }
};

// int8 weights, read from the file.
namespace int8 {

constexpr size_t kChunk = 2048;  // k per pass: 24 KiB of widened activations

template <typename Epilogue>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  WideRows<kWideRows, kChunk> wide;
  for (size_t row = block.row_begin; row < block.row_end; row += kWideRows) {
    const size_t rows = Min(block.row_end - row, kWideRows);
    const int8_t* a = block.a + row * block.a_stride;
    if (op.k <= kChunk) WidenRows(a, block.a_stride, rows, op.k, &wide);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      alignas(32) int32_t sums[kWideRows][kLanes];
      for (size_t k = 0; k < op.k; k += kChunk) {
        const size_t count = Min(op.k - k, kChunk);
        if (op.k > kChunk) WidenRows(a + k, block.a_stride, rows, count, &wide);
        const TileSums tile = k == 0 ? FromZero(sums[0], kLanes) : GoOn(sums[0], kLanes);
        for (size_t half = 0; half < kLanes; half += kPanelChannels) {
          if (n + half >= block.channel_end) break;
          const void* panel = Group(op.weights, 8, op.k, k, n + half);
          MultiplyWideTile(wide.data[0], wide.kStride, rows, static_cast<const int8_t*>(panel),
                           Groups(count), Move(tile, 0, half));
        }
      }
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

}  // namespace int8

// int4 weights. A task expands those of 16 channels, plus 8, into bytes that stay in the L1 cache,
// and uses them for many rows. The offset makes them unsigned; what it adds to a sum, 8 times the
// sum of the row's activations, is taken off once per row.
namespace int4 {

constexpr int kOffset = 8;
constexpr size_t kMaxUnsigned = 15;
constexpr size_t kChunk = 1024;    // k per pass: 16 KiB of weights
constexpr size_t kBlockRows = 96;  // rows that share them

using Rows = NarrowRows<kBlockRows>;

// The file's panel of 8 channels, its nibbles as bytes plus 8.
void Expand(const uint8_t* panel, size_t groups, uint8_t* target) {
  const __m256i mask = _mm256_set1_epi8(0x0F);
  const __m256i offset = _mm256_set1_epi8(kOffset);
  for (size_t g = 0; g < groups; ++g) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(panel + g * 16));
    const __m256i both = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
    _mm256_store_si256(reinterpret_cast<__m256i*>(target + g * kTileBytes),
                       _mm256_xor_si256(_mm256_and_si256(both, mask), offset));
  }
}

// Products of k .. k + count - 1 and 16 channels from n on. Sums of channels beyond the file's are
// those of whatever is in memory.
void RunChunk(const PackedMatMul& op, const PackedMatMulBlock& block, const Rows& found, size_t row,
              size_t rows, size_t n, size_t k, const TileSums& sums) {
  constexpr size_t kPanelBytes = kChunk / kTileGroup * kTileBytes;
  alignas(32) uint8_t panels[2 * kPanelBytes];
  const size_t count = Min(op.k - k, kChunk);
  for (size_t half = 0; half < 2 && n + half * kPanelChannels < op.n; ++half) {
    Expand(Group(op.weights, 4, op.k, k, n + half * kPanelChannels), Groups(count),
           panels + half * kPanelBytes);
  }
  MultiplyNarrowRows<false>(block.a + row * block.a_stride + k, block.a_stride, found, rows, panels,
                            kPanelBytes, count, NarrowGroups(found.largest, kMaxUnsigned), sums);
}

// So few rows that expanding weights would take longer than multiplying them. A vector of the file
// holds two groups of k.
constexpr size_t kFewRows = 3;
constexpr size_t kPairBytes = 32;

template <size_t kRows>
class FewRows {
 public:
  FewRows() {
    ForRows<kRows>([&](size_t r) PQV_LAMBDA { low_[r] = high_[r] = _mm256_setzero_si256(); });
  }

  // Two groups of kRows rows and of 8 channels.
  PQV_INLINE void Add(const int8_t* a, size_t stride, const uint8_t* pair) {
    const __m256i mask = _mm256_set1_epi8(0x0F);
    const __m256i offset = _mm256_set1_epi8(kOffset);
    const __m256i spread = _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3,  //
                                            4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
    const __m256i bytes = Load32Bytes(pair);
    const __m256i low = _mm256_xor_si256(_mm256_and_si256(bytes, mask), offset);
    const __m256i high =
        _mm256_xor_si256(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask), offset);
    ForRows<kRows>([&](size_t r) PQV_LAMBDA {
      int64_t groups;
      memcpy(&groups, a + r * stride, sizeof(groups));
      const __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi64x(groups), spread);
      Add16InPlace(_mm256_maddubs_epi16(low, x), &low_[r]);
      Add16InPlace(_mm256_maddubs_epi16(high, x), &high_[r]);
    });
  }

  void Store(const TileSums& sums) const {
    const __m256i ones = _mm256_set1_epi16(1);
    ForRows<kRows>([&](size_t r) PQV_LAMBDA {
      const __m256i low = _mm256_madd_epi16(low_[r], ones);  // channels 0 .. 3 of either group
      const __m256i high = _mm256_madd_epi16(high_[r], ones);
      avx2::Store(sums, r, 0,
                  _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                                   _mm256_permute2x128_si256(low, high, 0x31)));
    });
  }

 private:
  __m256i low_[kRows];   // channels 0 .. 3, two sums each of either group
  __m256i high_[kRows];  // channels 4 .. 7
};

// All k of kRows rows and 8 channels.
template <size_t kRows>
__attribute__((noinline)) void MultiplyFew(const int8_t* a, size_t stride, const uint8_t* panel,
                                           size_t k, size_t limit, TileSums sums) {
  const size_t pairs = k / (2 * kTileGroup);
  for (size_t i = 0; i < pairs;) {
    FewRows<kRows> few;
    for (const size_t end = Min(pairs, i + limit); i < end; ++i) {
      few.Add(a + i * 2 * kTileGroup, stride, panel + i * kPairBytes);
    }
    few.Store(sums);
    sums = GoOn(sums.data, sums.stride);
  }
  if (pairs * 2 * kTileGroup == k) return;
  int8_t tail[kRows][2 * kTileGroup] = {};
  uint8_t last[kPairBytes] = {};
  const size_t done = pairs * 2 * kTileGroup;
  for (size_t r = 0; r < kRows; ++r) memcpy(tail[r], a + r * stride + done, k - done);
  memcpy(last, panel + pairs * kPairBytes, Groups(k - done) * GroupBytes(4));
  FewRows<kRows> few;
  few.Add(tail[0], sizeof(tail[0]), last);
  few.Store(sums);
}

void RunFew(const PackedMatMul& op, const PackedMatMulBlock& block, const Rows& found, size_t row,
            size_t rows, size_t n, const TileSums& sums) {
  const int8_t* a = block.a + row * block.a_stride;
  const size_t limit = NarrowGroups(found.largest, kMaxUnsigned);
  for (size_t half = 0; half < kLanes && n + half < op.n; half += kPanelChannels) {
    WithRows<kFewRows>(rows, [&](auto count) {
      MultiplyFew<decltype(count)::kRows>(a, block.a_stride,
                                          Group(op.weights, 4, op.k, 0, n + half), op.k, limit,
                                          Move(sums, 0, half));
    });
  }
}

template <typename Epilogue>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, typename Epilogue::Output* y) {
  Rows found;
  alignas(32) int32_t offset[kBlockRows][kLanes];
  alignas(32) int32_t sums[kBlockRows][kLanes];
  for (size_t row = block.row_begin; row < block.row_end; row += kBlockRows) {
    const size_t rows = Min(block.row_end - row, kBlockRows);
    InspectRows(block.a + row * block.a_stride, block.a_stride, rows, op.k, &found);
    OffsetRows(found, rows, kOffset, offset);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kLanes) {
      if (rows <= kFewRows) {
        RunFew(op, block, found, row, rows, n, {sums[0], kLanes, offset[0], kLanes});
      } else {
        for (size_t k = 0; k < op.k; k += kChunk) {
          const int32_t* start = k == 0 ? offset[0] : sums[0];
          RunChunk(op, block, found, row, rows, n, k, {sums[0], kLanes, start, kLanes});
        }
      }
      Epilogue::Store(op, block, row, rows, n, sums, y);
    }
  }
}

}  // namespace int4

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = {kNarrowRows, kLanes, int4::Run<ToInt8>,
                                              int4::Run<ToInt32>};
const PackedMatMulKernel kPackedInt8MatMul = {kWideRows, kLanes, int8::Run<ToInt8>,
                                              int8::Run<ToInt32>};

}  // namespace avx2
}  // namespace pqv
