#include "kernels/common/tile_amx.h"
#include "kernels/packed_matmul/avx512.h"

namespace pqv {
namespace amx {
namespace {

using namespace avx512;

constexpr size_t kBlockRows = 208;      // rows that share an expanded panel, whole tiles
constexpr size_t kWideChannels = 64;    // of a panel of four vectors
constexpr size_t kNarrowChannels = 32;  // of a panel of two, for the rest
constexpr size_t kMaxPanelK = 512;      // 32 KiB of 64 channels stay in L1
constexpr size_t kStepK = 4;

// Signed weights as they are. GFNI sign-extends a nibble in one instruction: bit i of a byte is the
// parity of the byte and byte 7 - i of the matrix.
struct SignedForm {
  static PQV_INLINE __m512i Int8(__m512i x) { return x; }
  static PQV_INLINE __m512i LowInt4(__m512i x) {
    return _mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(0x0102040808080808), 0);
  }
  static PQV_INLINE __m512i HighInt4(__m512i x) {
    return _mm512_gf2p8affine_epi64_epi8(
        x, _mm512_set1_epi64(static_cast<int64_t>(0x1020408080808080)), 0);
  }
};

// 16 or more rows of a block, from `row` on.
struct Rows {
  size_t row;
  size_t count;
  RowSource a;
};

// One pass over k of one panel.
struct Pass {
  const uint8_t* panel;
  RowSource a;
  size_t k;
  bool is_first;
  bool is_last;
};

// The sums of a pair of tiles of rows by all channels of the panel.
template <size_t kVectors, bool kHasSecond>
PQV_INLINE void RunPair(const Pass& pass, const RowPair& pair, int32_t* sums) {
  constexpr size_t kChannels = kLanes32 * kVectors;
#pragma GCC unroll 2
  for (size_t v = 0; v < kVectors; v += 2) {
    int32_t* const first = sums + kLanes32 * v;
    const SumTarget target = {first, first + kTileRows * kChannels, kChannels};
    if (pass.is_first) {
      ZeroSums();
    } else {
      LoadSums<kHasSecond>(target);
    }
    Accumulate<RowSign::kSigned, kHasSecond>(pass.a, pair.first, pair.second, pass.k,
                                             {pass.panel + v * 64, kVectors * 64});
    StoreSums<kHasSecond>(target);
  }
}

template <int kBits, size_t kVectors, typename Epilogue>
void RunPanel(const PackedMatMul& op, const PackedMatMulBlock& block, const Rows& rows, size_t n,
              typename Epilogue::Output* y) {
  constexpr size_t kChannels = kLanes32 * kVectors;
  alignas(64) uint8_t panel[kMaxPanelK * kChannels];
  alignas(64) int32_t sums[kBlockRows * kChannels];
  const Epilogue epilogue(op, block, n, y);
  const size_t groups = CeilDivide(op.k, kGroupSize);
  for (size_t k = 0; k < op.k; k += kMaxPanelK) {
    Pass pass = {panel, rows.a, Min(op.k - k, kMaxPanelK), k == 0, op.k - k <= kMaxPanelK};
    pass.a.data += k;
    const size_t first_group = k / kStepK;
    const size_t count = Min(groups - first_group, kMaxPanelK / kStepK);
    Expand<kBits, kVectors, SignedForm>(op, n, first_group, count, panel);
    const size_t padded = CeilDivide(count, kTileRows) * kTileRows;
    memset(panel + count * kVectors * 64, 0, (padded - count) * kVectors * 64);
    for (size_t row = 0; row < rows.count; row += 2 * kTileRows) {
      const RowPair pair = PairAt(row, rows.count);
      // A single pass needs its sums for a moment only.
      int32_t* target = pass.is_first && pass.is_last ? sums : sums + row * kChannels;
      if (pair.has_second) {
        RunPair<kVectors, true>(pass, pair, target);
      } else {
        RunPair<kVectors, false>(pass, pair, target);
      }
      if (!pass.is_last) continue;
      for (size_t r = 0; r < (pair.has_second ? 2 * kTileRows : kTileRows); ++r) {
        const size_t source = r < kTileRows ? pair.first + r : pair.second + r - kTileRows;
        __m512i vectors[kVectors];
        for (size_t v = 0; v < kVectors; ++v) {
          vectors[v] = _mm512_load_si512(target + r * kChannels + kLanes32 * v);
        }
        epilogue.Store(rows.row + source, vectors);
      }
    }
  }
}

// Rows of blocks of at most kBlockRows and, where there are as many, at least kTileRows.
size_t BlockRows(size_t left) {
  const size_t count = Min(left, kBlockRows);
  return left - count > 0 && left - count < kTileRows ? count - kTileRows : count;
}

template <int kBits, template <size_t> class Epilogue, typename Output>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, Output* y) {
  if (block.row_end - block.row_begin < kTileRows) {
    const PackedMatMulKernel& kernel =
        kBits == 4 ? avx512vnni::kPackedInt4MatMul : avx512vnni::kPackedInt8MatMul;
    if constexpr (sizeof(Output) == 1) {
      return kernel.run(op, block, y);
    } else {
      return kernel.run_to_int32(op, block, y);
    }
  }
  const TileScope tiles;
  alignas(64) uint8_t tails[kBlockRows * kTileK];
  for (size_t row = block.row_begin; row < block.row_end;) {
    const size_t count = BlockRows(block.row_end - row);
    const uint8_t* a = reinterpret_cast<const uint8_t*>(block.a + row * block.a_stride);
    CopyTails(a, block.a_stride, count, op.k, tails);
    const Rows rows = {row, count, {a, block.a_stride, tails}};
    for (size_t n = block.channel_begin; n < block.channel_end; n += kWideChannels) {
      if (block.channel_end - n > kNarrowChannels) {
        RunPanel<kBits, 4, Epilogue<4>>(op, block, rows, n, y);
      } else {
        RunPanel<kBits, 2, Epilogue<2>>(op, block, rows, n, y);
      }
    }
    row += count;
  }
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = {
    kTileRows, kWideChannels, nullptr, nullptr, Run<4, ToInt8, int8_t>, Run<4, ToInt32, int32_t>};
const PackedMatMulKernel kPackedInt8MatMul = {
    kTileRows, kWideChannels, nullptr, nullptr, Run<8, ToInt8, int8_t>, Run<8, ToInt32, int32_t>};

}  // namespace amx
}  // namespace pqv
