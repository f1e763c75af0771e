#include "kernels/gemm/driver_avx512vnni.h"
#include "kernels/packed_matmul/avx512.h"
#include "kernels/packed_matmul/strassen_avx512vnni.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kWideChannels = 64;    // of a panel of four vectors
constexpr size_t kNarrowChannels = 32;  // of a panel of two, for the rest
constexpr size_t kFetchBytes = 256;     // of every panel of the file, ahead of its expansion
constexpr size_t kMaxDirectRows = 3;    // fewer rows than pay for expanding a panel
constexpr size_t kMaxDirectK = 4096;    // 32 KiB of spread activations

// Weights plus an offset, as unsigned bytes.
template <int kBits>
constexpr int kOffset = kBits == 8 ? 128 : 8;

struct OffsetForm {
  static PQV_INLINE __m512i Int8(__m512i x) {
    return _mm512_xor_si512(x, _mm512_set1_epi8(static_cast<char>(0x80)));
  }
  static PQV_INLINE __m512i LowInt4(__m512i x) {
    constexpr int kXorThenAnd = 0x28;
    return _mm512_ternarylogic_epi32(x, _mm512_set1_epi8(0x08), _mm512_set1_epi8(0x0F),
                                     kXorThenAnd);
  }
  static PQV_INLINE __m512i HighInt4(__m512i x) { return LowInt4(_mm512_srli_epi16(x, 4)); }
};

// Brings weights of a panel into L2, some lines with every row of the panel before.
class Fetch {
 public:
  // `groups` groups from k and channel n on, of `panels` panels of the file, while `rows` rows are
  // multiplied. Nothing beyond the last channel.
  Fetch(const PackedMatMul& op, int bits, size_t n, size_t k, size_t groups, size_t panels,
        size_t rows)
      : bytes_(groups * GroupBytes(bits)),
        stride_(CeilDivide(op.k, kGroupSize) * GroupBytes(bits)),
        panels_(n < op.n ? Min(panels, CeilDivide(op.n - n, kPanelChannels)) : 0),
        lines_(CeilDivide(panels_ * CeilDivide(bytes_, kLine), rows)) {
    if (panels_ == 0) return;
    line_ = Group(op.weights, bits, op.k, k, n);
    end_ = line_ + bytes_;
  }

  PQV_INLINE void operator()() {
    for (size_t i = 0; i < lines_; ++i) {
      if (panels_ == 0) return;
      _mm_prefetch(line_, _MM_HINT_T1);
      line_ += kLine;
      if (line_ >= end_) {
        line_ = end_ - bytes_ + stride_;
        end_ += stride_;
        --panels_;
      }
    }
  }

 private:
  static constexpr size_t kLine = 64;

  const size_t bytes_;   // of a panel of the file
  const size_t stride_;  // from panel to panel
  size_t panels_;        // still to come
  const size_t lines_;   // per row
  const uint8_t* line_ = nullptr;
  const uint8_t* end_ = nullptr;  // of this panel of the file
};

// Weights of the file from channel n on; those that come next are fetched by the way.
template <int kBits, size_t kVectors>
struct WeightPanels {
  static constexpr size_t kUnit = kGroupSize;
  static constexpr size_t kChannels = kLanes32 * kVectors;
  const PackedMatMul& op;
  size_t n;

  PQV_INLINE void Make(size_t k, size_t count, uint8_t* panel) const {
    Expand<kBits, kVectors, OffsetForm, kFetchBytes>(op, n, k / kGroupSize,
                                                     CeilDivide(count, kGroupSize), panel);
  }

  PQV_INLINE auto ByTheWay(size_t k, size_t count, size_t rows) const {
    const bool is_last = k + count == op.k;
    return Fetch(op, kBits, is_last ? n + kChannels : n, is_last ? 0 : k + count,
                 CeilDivide(count, kGroupSize), kChannels / kPanelChannels, rows);
  }
};

// An epilogue of the weights with an offset, whose part is taken off first.
template <size_t kVectors, typename Epilogue>
struct WithCorrection : Epilogue {
  const int32_t* correction;
  size_t first;  // row that it begins with

  PQV_INLINE void Begin(size_t row, __m512i* sums) const {
    for (size_t v = 0; v < kVectors; ++v) sums[v] = _mm512_set1_epi32(correction[row - first]);
  }

  PQV_INLINE void End(size_t row, const __m512i* sums) const { this->Store(row, sums); }
};

template <int kBits, size_t kVectors, typename Epilogue>
void RunChannels(const PackedMatMul& op, const PackedMatMulBlock& block, const Product& rows,
                 const int32_t* correction, size_t n, typename Epilogue::Output* y) {
  RunPanel<PanelSign::kUnsigned, kVectors>(
      rows, WeightPanels<kBits, kVectors>{op, n},
      WithCorrection<kVectors, Epilogue>{{op, block, n, y}, correction, rows.row_begin});
}

// Few rows read the weights where they are. A vector of the file holds 8 channels, 64 / kStepK
// bytes of each k.
template <int kBits>
constexpr size_t kStepK = kBits == 8 ? 8 : 16;

// Step s of the activations: each group of 4 k as often as its panel has channels in a vector.
template <int kBits>
void Spread(const int8_t* a, size_t k, int8_t* spread) {
  const __m512i index = kBits == 8
                            ? _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)
                            : _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  for (size_t i = 0; i < k; i += kStepK<kBits>) {
    const size_t count = Min(k - i, kStepK<kBits>);
    const __m128i x = _mm_maskz_loadu_epi8(static_cast<__mmask16>(FirstLanes(count)), a + i);
    const __m512i y = _mm512_permutexvar_epi32(index, _mm512_castsi128_si512(x));
    _mm512_store_si512(spread, y);
    spread += 64;
  }
}

// Sums of one row and the 8 channels of a panel, the offset still in.
template <int kBits>
class DirectSums {
 public:
  PQV_INLINE void Add(__m512i weights, __m512i spread) {
    if constexpr (kBits == 8) {
      low_ = _mm512_dpbusd_epi32(low_, OffsetForm::Int8(weights), spread);
    } else {
      low_ = _mm512_dpbusd_epi32(low_, OffsetForm::LowInt4(weights), spread);
      high_ = _mm512_dpbusd_epi32(high_, OffsetForm::HighInt4(weights), spread);
    }
  }

  PQV_INLINE void Add(const DirectSums& other) {
    low_ = _mm512_add_epi32(low_, other.low_);
    high_ = _mm512_add_epi32(high_, other.high_);
  }

  PQV_INLINE __m256i Channels() const {
    const __m256i low = AddHalves(low_);
    if constexpr (kBits == 8) return low;
    const __m256i high = AddHalves(high_);
    return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                            _mm256_permute2x128_si256(low, high, 0x31));
  }

 private:
  static PQV_INLINE __m256i AddHalves(__m512i x) {
    return _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  }

  __m512i low_ = _mm512_setzero_si512();   // int8: all channels, int4: channels 0 .. 3
  __m512i high_ = _mm512_setzero_si512();  // int4: channels 4 .. 7
};

template <int kBits>
__m256i DirectPanel(const uint8_t* panel, size_t k, const int8_t* spread) {
  constexpr size_t kChains = 4;  // hide the latency of VPDPBUSD
  const size_t bytes = CeilDivide(k, kGroupSize) * GroupBytes(kBits);
  DirectSums<kBits> sums[kChains];
  size_t i = 0;
  for (; i + kChains * 64 <= bytes; i += kChains * 64) {
#pragma GCC unroll 4
    for (size_t c = 0; c < kChains; ++c) {
      const size_t at = i + c * 64;
      sums[c].Add(_mm512_loadu_si512(panel + at), _mm512_load_si512(spread + at));
    }
  }
  for (; i < bytes; i += 64) {
    const __m512i weights = _mm512_maskz_loadu_epi8(FirstLanes(bytes - i), panel + i);
    sums[0].Add(weights, _mm512_load_si512(spread + i));
  }
  for (size_t c = 1; c < kChains; ++c) sums[0].Add(sums[c]);
  return sums[0].Channels();
}

template <int kBits, template <size_t> class Epilogue, typename Output>
void RunDirect(const PackedMatMul& op, const PackedMatMulBlock& block, Output* y) {
  alignas(64) int8_t spread[kMaxDirectRows][kMaxDirectK / kStepK<kBits> * 64];
  int32_t correction[kMaxDirectRows];
  const size_t rows = block.row_end - block.row_begin;
  const int8_t* const a = block.a + block.row_begin * block.a_stride;
  SumsOfRows(a, block.a_stride, rows, op.k, -kOffset<kBits>, correction);
  for (size_t r = 0; r < rows; ++r) Spread<kBits>(a + r * block.a_stride, op.k, spread[r]);
  for (size_t n = block.channel_begin; n < block.channel_end; n += kWideChannels) {
    const Epilogue<4> epilogue(op, block, n, y);
    const size_t channels = Min(block.channel_end - n, kWideChannels);
    for (size_t r = 0; r < rows; ++r) {
      const __m256i offset = _mm256_set1_epi32(correction[r]);
      alignas(64) int32_t sums[kWideChannels] = {};
      for (size_t c = 0; c < channels; c += kPanelChannels) {
        const uint8_t* panel = Group(op.weights, kBits, op.k, 0, n + c);
        _mm256_store_si256(reinterpret_cast<__m256i*>(sums + c),
                           _mm256_add_epi32(DirectPanel<kBits>(panel, op.k, spread[r]), offset));
      }
      __m512i vectors[4];
      LoadTileOrder32<4>(sums, vectors);
      epilogue.Store(block.row_begin + r, vectors);
    }
  }
}

template <int kBits, template <size_t> class Epilogue, typename Output>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, Output* y) {
  if (block.row_end - block.row_begin <= kMaxDirectRows && op.k <= kMaxDirectK) {
    return RunDirect<kBits, Epilogue>(op, block, y);
  }
  Product rows = {0,
                  0,
                  block.channel_begin,
                  block.channel_end,
                  op.k,
                  reinterpret_cast<const uint8_t*>(block.a),
                  block.a_stride};
  for (size_t row = block.row_begin; row < block.row_end; row = rows.row_end) {
    int32_t correction[kMaxRows];
    rows.row_begin = row;
    rows.row_end = Min(block.row_end, row + MaxRows(op.k));
    SumsOfRows(block.a + row * block.a_stride, block.a_stride, rows.row_end - row, op.k,
               -kOffset<kBits>, correction);
    for (size_t n = block.channel_begin; n < block.channel_end; n += kWideChannels) {
      if (block.channel_end - n > kNarrowChannels) {
        RunChannels<kBits, 4, Epilogue<4>>(op, block, rows, correction, n, y);
      } else {
        RunChannels<kBits, 2, Epilogue<2>>(op, block, rows, correction, n, y);
      }
    }
  }
}

// Whole panels of 64 channels by Strassen's product; what is left of them directly.
void RunFast(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  const size_t channels = block.channel_end - block.channel_begin;
  const size_t fast_end = block.channel_end - channels % kFastChannels;
  for (size_t row = block.row_begin; row < block.row_end; row += kFastBlockRows) {
    const size_t row_end = Min(block.row_end, row + kFastBlockRows);
    for (size_t n = block.channel_begin; n < fast_end; n += kFastChannels) {
      Fetch fetch(op, 4, n + kFastChannels, 0, CeilDivide(op.k, kGroupSize),
                  kFastChannels / kPanelChannels, row_end - row);
      FastPanel(op, block, row, row_end, n, y).Run([&] { fetch(); });
    }
  }
  if (fast_end == block.channel_end) return;
  PackedMatMulBlock rest = block;
  rest.channel_begin = fast_end;
  Run<4, ToInt8>(op, rest, y);
}

void RunInt4(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  if (block.prepared != nullptr && block.row_begin < FastRows(block)) {
    return RunFast(op, block, y);
  }
  Run<4, ToInt8>(op, block, y);
}

// Activations of 8 bits are mostly told by their first row; preparing finds out the others.
size_t PreparedBytes(const PackedMatMul& op, const PackedMatMulBlock& whole) {
  if (!StrassenPays(kStrassenTile, whole.row_end, whole.channel_end, op.k)) return 0;
  for (size_t i = 0; i < op.k; i += 64) {
    if (BeyondInt4(_mm512_maskz_loadu_epi8(FirstLanes(op.k - i), whole.a + i)) != 0) return 0;
  }
  return whole.row_end / kFastRows * RowFactorBytes(op.k);
}

bool PrepareRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  bool are_int4 = true;
  const size_t row_end = Min(block.row_end, FastRows(block));
  for (size_t row = block.row_begin; row < row_end; row += kFastRows) {
    are_int4 &= MakeRowFactors(block.a + row * block.a_stride, block.a_stride, op.k,
                               block.prepared + row / kFastRows * RowFactorBytes(op.k));
  }
  return are_int4;
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = {
    kFastRows,     kWideChannels, RunInt4, nullptr, PackedMatMulKernel{}.min_task_rows,
    PreparedBytes, PrepareRows};
const PackedMatMulKernel kPackedInt8MatMul = {kTileRows, kWideChannels, Run<8, ToInt8, int8_t>,
                                              Run<8, ToInt32, int32_t>};

}  // namespace avx512vnni
}  // namespace pqv
