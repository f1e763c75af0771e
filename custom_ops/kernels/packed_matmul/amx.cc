#include "kernels/gemm/tile_amx.h"
#include "kernels/packed_matmul/avx512.h"

namespace pqv {
namespace amx {
namespace {

using namespace avx512;

// Rows that share an expanded panel, whole tiles: fewer where their sums wait for the next pass.
constexpr size_t kBlockRows = 832;
constexpr size_t kPassRows = 416;
constexpr size_t kMinTaskRows = 208;    // of one image
constexpr size_t kWideChannels = 64;    // of a panel of four vectors
constexpr size_t kNarrowChannels = 32;  // of a panel of two
constexpr size_t kMaxWideK = 256;       // deeper products go by narrow panels

// 16 KiB of a panel stay in L1 beside the rows that stream by; more passes would cost more than
// they save.
template <size_t kVectors>
constexpr size_t kMaxPanelK = kVectors == 4 ? kMaxWideK : 512;

// Bit i of a byte of GFNI's product is the parity of the byte and byte 7 - i of the matrix: one
// instruction sign-extends a nibble.
constexpr int64_t kLowInt4 = 0x0102040808080808;
constexpr int64_t kHighInt4 = 0x1020408080808080;

template <int64_t kMatrix>
PQV_INLINE __m512i SignExtend(__m512i x) {
  return _mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(kMatrix), 0);
}

// Writes the steps that a vector of the file has, 8 channels and 64 / GroupBytes groups of 4 k,
// `step` bytes apart: two vectors in tile order of the channels of four panels of the file.
template <int kBits>
PQV_INLINE void WriteSteps(const __m512i* panels, size_t step, uint8_t* target) {
  __m512i x[4] = {panels[0], panels[1], panels[2], panels[3]};
  ToTileOrder<4>(x);  // one vector for each lane of the file's
  if constexpr (kBits == 8) {
    for (size_t lane = 0; lane < 4; ++lane) {
      _mm512_store_si512(target + lane / 2 * step + lane % 2 * 64, x[lane]);
    }
  } else {
    for (size_t lane = 0; lane < 4; ++lane) {
      _mm512_store_si512(target + lane * step, SignExtend<kLowInt4>(x[lane]));
      _mm512_store_si512(target + lane * step + 64, SignExtend<kHighInt4>(x[lane]));
    }
  }
}

// Writes channels n .. n + 16 * kVectors - 1 of `groups` groups of 4 k from group `first` on as
// steps of kVectors vectors in tile order; groups are rounded up to a multiple of 4. Channels
// beyond the last panel of the file are copies of others.
template <int kBits, size_t kVectors>
void Expand(const PackedMatMul& op, size_t n, size_t first, size_t groups, uint8_t* target) {
  constexpr size_t kPanels = 2 * kVectors;
  constexpr size_t kHalves = kVectors / 2;
  constexpr size_t kStepBytes = 64 * kVectors;
  const size_t last_panel = CeilDivide(op.n, kPanelChannels) - 1;
  const uint8_t* panels[kPanels];
  for (size_t p = 0; p < kPanels; ++p) {
    const size_t panel = Min(n / kPanelChannels + p, last_panel);
    panels[p] = Group(op.weights, kBits, op.k, first * kGroupSize, panel * kPanelChannels);
  }
  const auto write = [&](size_t offset, __mmask16 lanes) PQV_LAMBDA {
    __m512i x[kPanels];
#pragma GCC unroll 8
    for (size_t p = 0; p < kPanels; ++p) {
      // Panels of the same half side by side.
      x[p % kHalves * 4 + p / kHalves] = _mm512_maskz_loadu_epi32(lanes, panels[p] + offset);
    }
#pragma GCC unroll 2
    for (size_t half = 0; half < kHalves; ++half) {
      WriteSteps<kBits>(x + 4 * half, kStepBytes, target + 128 * half);
    }
    target += 64 / GroupBytes(kBits) * kStepBytes;
  };
  const size_t bytes = groups * GroupBytes(kBits);
  const size_t whole = bytes / 64 * 64;
  for (size_t offset = 0; offset < whole; offset += 64) write(offset, 0xFFFF);
  if (whole < bytes) write(whole, static_cast<__mmask16>(FirstLanes((bytes - whole) / 4)));
}

// 16 or more rows of a block, from `row` on.
struct Rows {
  size_t row;
  size_t count;
  RowSource a;
};

// The sums of a block on their way from the tiles to the output.
struct BlockSums {
  const int32_t* sums;
  size_t first;   // row of the output of the first tile
  size_t second;  // of the second, if there is one
  size_t begin;   // rows of the sums before it are of another block, too
  size_t end;
};

// The epilogue of a block, taken in portions between the products of the next: the units for
// vectors and for tiles work side by side. Its output is not fetched ahead: that takes more from
// the loads of the tiles than it saves.
template <size_t kVectors, typename Epilogue>
class PendingRows {
 public:
  static constexpr size_t kChannels = kLanes32 * kVectors;

  explicit PendingRows(const Epilogue& epilogue) : epilogue_(epilogue) {}

  PQV_INLINE void Set(const BlockSums& block) {
    block_ = block;
    next_ = block.begin;
  }

  PQV_INLINE void Finish(size_t count) {
    const size_t end = Min(next_ + count, block_.end);
    const Epilogue epilogue =
        epilogue_;  // in registers: stores of int8 may alias what is in memory
    for (; next_ < end; ++next_) {
      __m512i vectors[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        vectors[v] = _mm512_load_si512(block_.sums + next_ * kChannels + kLanes32 * v);
      }
      epilogue.Store(RowAt(next_), vectors);
    }
  }

 private:
  PQV_INLINE size_t RowAt(size_t i) const {
    return i < kTileRows ? block_.first + i : block_.second + i - kTileRows;
  }

  const Epilogue& epilogue_;
  BlockSums block_ = {};
  size_t next_ = 0;  // row of the block
};

// Brings the weights of the next panel into L2 in portions, while this one's products run.
class NextWeights {
 public:
  // `count` channels from n on, or as many as there are, in `portions`. They may be another task's,
  // which then most likely comes next.
  NextWeights(const PackedMatMul& op, int bits, size_t n, size_t count, size_t portions) {
    const size_t panel_bytes = CeilDivide(op.k, kGroupSize) * GroupBytes(bits);
    const size_t first = CeilDivide(Min(n, op.n), kPanelChannels);
    const size_t last = CeilDivide(Min(n + count, op.n), kPanelChannels);
    next_ = static_cast<const uint8_t*>(op.weights) + first * panel_bytes;
    end_ = next_ + (last - first) * panel_bytes;
    portion_ =
        CeilDivide(CeilDivide((last - first) * panel_bytes, kCacheLine), portions) * kCacheLine;
  }

  PQV_INLINE void Fetch() {
    const uint8_t* const until = next_ + Min(portion_, static_cast<size_t>(end_ - next_));
    for (; next_ < until; next_ += kCacheLine) _mm_prefetch(next_, _MM_HINT_T1);
    next_ = until;
  }

 private:
  const uint8_t* next_;
  const uint8_t* end_;
  size_t portion_;
};

// Expands the weights of a pass, a tile of k at a time while the first rows are multiplied.
template <int kBits, size_t kVectors>
class PassWeights {
 public:
  PassWeights(const PackedMatMul& op, size_t n, size_t k, size_t k_end, uint8_t* panel)
      : op_(op), n_(n), next_(k), end_(k_end), target_(panel) {}

  PQV_INLINE void Advance() {
    if (next_ >= end_) return;
    const size_t groups = CeilDivide(Min(end_ - next_, kTileK), kGroupSize);
    Expand<kBits, kVectors>(op_, n_, next_ / kGroupSize, groups, target_);
    memset(target_ + groups * kVectors * 64, 0, (kTileRows - groups) * kVectors * 64);
    target_ += kTileRows * kVectors * 64;
    next_ += kTileK;
  }

 private:
  const PackedMatMul& op_;
  size_t n_;
  size_t next_;
  size_t end_;
  uint8_t* target_;
};

// One pass over k of one panel.
struct Pass {
  const uint8_t* panel;
  RowSource a;
  size_t k;
  bool is_first;
};

// A block of sums is four tiles: 32 rows by 32 channels, or 16 by 64.
constexpr size_t kBlockSums = 4 * kTileRows * kTileLanes;
template <size_t kVectors>
constexpr size_t kRowsOfBlock = kBlockSums / (kLanes32 * kVectors);

// The products of a block of rows from `row` on.
template <size_t kVectors, typename Between>
PQV_INLINE BlockSums RunBlock(const Pass& pass, const Rows& rows, size_t row, int32_t* sums,
                              PendingSums* tiles, const Between& between) {
  constexpr size_t kChannels = kLanes32 * kVectors;
  const PanelSource panel = {pass.panel, kVectors * 64};
  const RowPair pair = PairAt(row, rows.count);
  const size_t first = rows.row + pair.first;
  const size_t begin = row - pair.first;
  if constexpr (kVectors == 4) {
    tiles->Next({sums, sums + 2 * kTileLanes, kChannels}, !pass.is_first);
    AccumulateWide(pass.a, pair.first, pass.k, panel, *tiles, between);
    return {sums, first, first, begin, kTileRows};
  }
  int32_t* const second = pair.has_second ? sums + kTileRows * kChannels : nullptr;
  tiles->Next({sums, second, kChannels}, !pass.is_first);
  if (pair.has_second) {
    Accumulate<RowSign::kSigned, true>(pass.a, pair.first, pair.second, pass.k, panel, *tiles,
                                       between);
    return {sums, first, rows.row + pair.second, begin, 2 * kTileRows};
  }
  Accumulate<RowSign::kSigned, false>(pass.a, pair.first, pair.first, pass.k, panel, *tiles,
                                      between);
  return {sums, first, first, begin, kTileRows};
}

// All rows with one pass; `pending` takes the sums where it is the last.
template <size_t kVectors, typename Weights, typename Pending>
PQV_INLINE void RunPass(const Pass& pass, const Rows& rows, bool is_last, int32_t* sums,
                        Weights* weights, PendingSums* tiles, Pending* pending,
                        NextWeights* next_weights) {
  // The first step stores the sums of the block before; loads right behind would wait for them.
  const size_t first_step = pass.k > kTileK ? 1 : 0;
  const size_t portion =
      CeilDivide(kRowsOfBlock<kVectors>, CeilDivide(pass.k, kTileK) - first_step);
  const auto between = [&](size_t i) PQV_LAMBDA {
    weights->Advance();
    if (i >= first_step) pending->Finish(portion);
    next_weights->Fetch();
  };
  for (size_t row = 0; row < rows.count; row += kRowsOfBlock<kVectors>) {
    const size_t index = row / kRowsOfBlock<kVectors>;
    // The sums of a single pass leave the tiles when those before them are done with.
    int32_t* target = pass.is_first && is_last ? sums : sums + index * kBlockSums;
    const BlockSums block = RunBlock<kVectors>(pass, rows, row, target, tiles, between);
    if (!is_last) continue;
    pending->Finish(2 * kTileRows);
    pending->Set(block);
  }
}

// Not inlined: side by side in one function, the panels of all widths lose their registers.
template <int kBits, size_t kVectors, typename Epilogue>
__attribute__((noinline)) void RunPanel(const PackedMatMul& op, const PackedMatMulBlock& block,
                                        const Rows& rows, size_t n, typename Epilogue::Output* y) {
  constexpr size_t kChannels = kLanes32 * kVectors;
  alignas(64) uint8_t panel[kMaxPanelK<kVectors> * kChannels];
  alignas(64) int32_t sums[kVectors == 4 ? kBlockSums : (kPassRows + kTileRows) * kChannels];
  const Epilogue epilogue(op, block, n, y);
  PendingSums tiles;
  PendingRows<kVectors, Epilogue> pending(epilogue);
  const size_t size = EvenPart(op.k, kMaxPanelK<kVectors>, kTileK);
  const size_t steps = CeilDivide(op.k, kTileK) * CeilDivide(rows.count, kRowsOfBlock<kVectors>);
  NextWeights next_weights(op, kBits, n + kChannels, kChannels, steps);
  if (n + kChannels < op.n) Epilogue::PrefetchChannels(op, n + kChannels);
  for (size_t k = 0; k < op.k; k += size) {
    Pass pass = {panel, rows.a, Min(op.k - k, size), k == 0};
    pass.a.data += k;
    PassWeights<kBits, kVectors> weights(op, n, k, k + pass.k, panel);
    // Two tiles of k ahead of the products, whose loads would wait for the stores.
    weights.Advance();
    weights.Advance();
    RunPass<kVectors>(pass, rows, k + pass.k == op.k, sums, &weights, &tiles, &pending,
                      &next_weights);
  }
  tiles.Store();
  pending.Finish(2 * kTileRows);
}

// Rows of blocks of at most `max` and, where there are as many, at least kTileRows.
size_t BlockRows(size_t left, size_t max) {
  const size_t count = Min(left, max);
  return left - count > 0 && left - count < kTileRows ? count - kTileRows : count;
}

// Fewer rows than a tile has are left to VPDPBUSD.
bool AreFewRows(const PackedMatMulBlock& block) {
  return block.row_end - block.row_begin < kTileRows;
}

template <int kBits>
constexpr const PackedMatMulKernel& kForFewRows =
    kBits == 4 ? avx512vnni::kPackedInt4MatMul : avx512vnni::kPackedInt8MatMul;

template <int kBits>
size_t ScratchBytes(const PackedMatMul& op, const PackedMatMulBlock& block) {
  return AreFewRows(block) ? kForFewRows<kBits>.scratch_bytes(op, block) : 0;
}

template <int kBits>
bool SumWeights(const PackedMatMul& op, int32_t* sums) {
  return kForFewRows<kBits>.sum_weights(op, sums);
}

template <int kBits, template <size_t> class Epilogue, typename Output>
void Run(const PackedMatMul& op, const PackedMatMulBlock& block, Output* y) {
  if (AreFewRows(block)) {
    if constexpr (sizeof(Output) == 1) {
      return kForFewRows<kBits>.run(op, block, y);
    } else {
      return kForFewRows<kBits>.run_to_int32(op, block, y);
    }
  }
  const TileScope tiles;
  alignas(64) uint8_t tails[kBlockRows * kTileK];
  const size_t max_rows = op.k <= kMaxPanelK<2> ? kBlockRows : kPassRows;
  for (size_t row = block.row_begin; row < block.row_end;) {
    const size_t count = BlockRows(block.row_end - row, max_rows);
    const uint8_t* a = reinterpret_cast<const uint8_t*>(block.a + row * block.a_stride);
    CopyTails(a, block.a_stride, count, op.k, tails);
    const Rows rows = {row, count, {a, block.a_stride, tails}};
    for (size_t n = block.channel_begin; n < block.channel_end;) {
      if (op.k <= kMaxWideK && block.channel_end - n > kNarrowChannels) {
        RunPanel<kBits, 4, Epilogue<4>>(op, block, rows, n, y);
        n += kWideChannels;
      } else {
        RunPanel<kBits, 2, Epilogue<2>>(op, block, rows, n, y);
        n += kNarrowChannels;
      }
    }
    row += count;
  }
}

template <int kBits>
constexpr PackedMatMulKernel Kernel() {
  PackedMatMulKernel kernel = {kTileRows, kWideChannels, Run<kBits, ToInt8, int8_t>, nullptr};
  if (kBits == 8) kernel.run_to_int32 = Run<8, ToInt32, int32_t>;
  kernel.min_task_rows = kMinTaskRows;
  kernel.scratch_bytes = ScratchBytes<kBits>;
  kernel.sum_weights = SumWeights<kBits>;
  return kernel;
}

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = Kernel<4>();
const PackedMatMulKernel kPackedInt8MatMul = Kernel<8>();

}  // namespace amx
}  // namespace pqv
