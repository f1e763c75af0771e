// What the arm64 kernels of the packed matmuls share: the weights of the file as panels, and the
// epilogues.

#ifndef PQV_KERNELS_PACKED_MATMUL_NEON_H_
#define PQV_KERNELS_PACKED_MATMUL_NEON_H_

#include "kernels/common/strassen_neon.h"
#include "kernels/common/tile_neon.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace arm64 {

constexpr size_t kChannelTile = 64;   // every task packs all of its rows
constexpr size_t kMaxDirectRows = 4;  // fewer rows than pay for widening a panel

// Panels where they are in the file.
template <int kBits>
struct FilePanels {
  using Form = GroupForm<kBits>;
  const PackedMatMul& op;

  PQV_INLINE PanelBlock Make(size_t n, size_t k, size_t, size_t, uint8_t*) const {
    return {Group(op.weights, kBits, op.k, k, n), CeilDivide(op.k, kGroupSize) * GroupBytes(kBits)};
  }
};

// Panels in the form that a tile wants.
template <int kBits, typename TileForm>
struct MadePanels {
  using Form = TileForm;
  const PackedMatMul& op;

  PQV_INLINE PanelBlock Make(size_t n, size_t k, size_t channels, size_t count,
                             uint8_t* scratch) const {
    using Source = GroupForm<kBits>;
    const size_t stride = RoundUp(count, kBlockK) * kPanelChannels;
    for (size_t c = 0; c < channels; c += kPanelChannels) {
      const uint8_t* panel = Group(op.weights, kBits, op.k, k, n + c);
      const auto load = [&](size_t g) __attribute__((always_inline)) {
        return Source::Load(panel + g * Source::kGroupBytes);
      };
      MakePanel<TileForm>(CeilDivide(count, kGroupSize), load,
                          scratch + c / kPanelChannels * stride);
    }
    return {scratch, stride};
  }
};

// int4 is always widened, int8 used as it is where the tile can.
template <int kBits, typename TileForm>
struct PanelsFor {
  using Type = MadePanels<kBits, TileForm>;
};
template <>
struct PanelsFor<8, GroupForm<8>> {
  using Type = FilePanels<8>;
};

// The epilogues: the bias before, output after the products of a tile.

template <size_t kRows>
static PQV_INLINE void BeginWithBias(const int32_t* bias, Sums<kRows>* sums) {
  const int32x4_t low = vld1q_s32(bias);
  const int32x4_t high = vld1q_s32(bias + 4);
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
    sums->row[r][0] = low;
    sums->row[r][1] = high;
  }
}

template <bool kHasResidual>
class ToInt8 {
 public:
  using Output = int8_t;

  PQV_INLINE ToInt8(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y)
      : op_(op), block_(block), y_(y), limits_(MakeLimits(op.y_bits)) {}

  template <size_t kRows>
  PQV_INLINE void Begin(size_t, size_t n, Sums<kRows>* sums) const {
    BeginWithBias(op_.bias + n, sums);
  }

  template <size_t kRows>
  PQV_INLINE void End(size_t row, size_t n, const Sums<kRows>& sums) const {
    const Requantizer requantizer = LoadRequantizer(op_.requantizer, n);
    const size_t count = Min(block_.channel_end - n, kPanelChannels);
    int16x8_t u[kRows];
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      u[r] = Requantize16(requantizer, sums.row[r][0], sums.row[r][1]);
    }
    if constexpr (kHasResidual) AddResidual<kRows>(row, n, count, u);
    StoreRows(u, limits_, count, y_ + row * block_.y_stride + n, block_.y_stride);
  }

 private:
  template <size_t kRows>
  PQV_INLINE void LoadResidual(size_t row, size_t n, size_t count, int8x8_t* x) const {
    const size_t first = row < block_.residual_rows ? row : row % block_.residual_rows;
    const int8_t* source = block_.residual + first * block_.residual_stride + n;
    if (count == kPanelChannels && first + kRows <= block_.residual_rows) {
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) x[r] = vld1_s8(source + r * block_.residual_stride);
      return;
    }
    for (size_t r = 0; r < kRows; ++r) {
      const size_t at = (row + r) % block_.residual_rows;
      source = block_.residual + at * block_.residual_stride + n;
      x[r] = vget_low_s8(vreinterpretq_s8_u8(LoadPartial8(source, count)));
    }
  }

  template <size_t kRows>
  PQV_INLINE void AddResidual(size_t row, size_t n, size_t count, int16x8_t* u) const {
    const int16x8_t multiplier = vld1q_s16(op_.residual_multiplier + n);
    int8x8_t x[kRows];
    LoadResidual<kRows>(row, n, count, x);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      u[r] = vqaddq_s16(u[r], vqrdmulhq_s16(vshll_n_s8(x[r], 8), multiplier));
    }
  }

  const PackedMatMul op_;
  const PackedMatMulBlock block_;
  int8_t* const y_;
  Limits limits_;
};

class ToInt32 {
 public:
  using Output = int32_t;

  PQV_INLINE ToInt32(const PackedMatMul& op, const PackedMatMulBlock& block, int32_t* y)
      : op_(op), block_(block), y_(y) {}

  template <size_t kRows>
  PQV_INLINE void Begin(size_t, size_t n, Sums<kRows>* sums) const {
    BeginWithBias(op_.bias + n, sums);
  }

  template <size_t kRows>
  PQV_INLINE void End(size_t row, size_t n, const Sums<kRows>& sums) const {
    StoreRows(sums, Min(block_.channel_end - n, kPanelChannels), y_ + row * block_.y_stride + n,
              block_.y_stride);
  }

 private:
  const PackedMatMul op_;
  const PackedMatMulBlock block_;
  int32_t* const y_;
};

// `Tile` for any number of rows, `FewTile` for kMaxDirectRows or fewer.
template <typename Tile, typename FewTile, int kBits, typename Epilogue>
static void RunDirect(const PackedMatMul& op, const Product& product, const Epilogue& epilogue) {
  if (product.row_end - product.row_begin <= kMaxDirectRows) {
    return RunProduct<FewTile>(product, FilePanels<kBits>{op}, epilogue);
  }
  using Panels = typename PanelsFor<kBits, typename Tile::Form>::Type;
  RunProduct<Tile>(product, Panels{op}, epilogue);
}

static PQV_INLINE Product MakeProduct(const PackedMatMul& op, const PackedMatMulBlock& block) {
  return {block.row_begin,   block.row_end, block.channel_begin,
          block.channel_end, op.k,          reinterpret_cast<const uint8_t*>(block.a),
          block.a_stride};
}

// The prepared rows of a product: those of its row 0 come first.
static PQV_INLINE RowFactors FactorsOf(const PackedMatMulBlock& block) {
  return {block.prepared, block.prepared_rows / kFastRows};
}

static PQV_INLINE size_t WholeRows(size_t row_end) { return row_end - row_end % kFastRows; }

// Strassen's product of whole tiles, and the rows and channels that are left directly.
template <typename Tile, typename FewTile, typename Epilogue>
static void RunFast(const PackedMatMul& op, const PackedMatMulBlock& block,
                    const Epilogue& epilogue) {
  Product whole = MakeProduct(op, block);
  Product rest = whole;
  whole.row_end = WholeRows(whole.row_end);
  whole.channel_end -= (whole.channel_end - whole.channel_begin) % kFastChannels;
  RunFastProduct<Tile>(whole, FactorsOf(block), MadePanels<4, typename Tile::Form>{op}, epilogue);
  if (rest.row_end > whole.row_end) {
    rest.row_begin = whole.row_end;
    RunDirect<Tile, FewTile, 4>(op, rest, epilogue);
  }
  if (rest.channel_end > whole.channel_end) {
    rest.row_begin = whole.row_begin;
    rest.row_end = whole.row_end;
    rest.channel_begin = whole.channel_end;
    RunDirect<Tile, FewTile, 4>(op, rest, epilogue);
  }
}

template <typename Tile, typename FewTile, int kBits, typename Epilogue>
static void RunPacked(const PackedMatMul& op, const PackedMatMulBlock& block,
                      typename Epilogue::Output* y) {
  const Epilogue epilogue(op, block, y);
  if constexpr (kBits == 4 && Tile::kStrassen.step_macs > 0) {
    if (block.prepared != nullptr) return RunFast<Tile, FewTile>(op, block, epilogue);
  }
  RunDirect<Tile, FewTile, kBits>(op, MakeProduct(op, block), epilogue);
}

template <typename Tile, typename FewTile, int kBits>
static void RunPackedToInt8(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  if (op.residual_multiplier != nullptr) {
    return RunPacked<Tile, FewTile, kBits, ToInt8<true>>(op, block, y);
  }
  RunPacked<Tile, FewTile, kBits, ToInt8<false>>(op, block, y);
}

// Whether all values of `rows` rows are in [-8, 7]. k is a multiple of 2 * kBlockK.
static inline bool IsInt4(const int8_t* a, size_t rows, size_t k, size_t stride) {
  const uint8x16_t offset = vdupq_n_u8(8);
  for (size_t row = 0; row < rows; ++row, a += stride) {
    uint8x16_t seen = vdupq_n_u8(0);
    for (size_t i = 0; i < k; i += 2 * kBlockK) {
      const uint8x16x2_t x = vld1q_u8_x2(reinterpret_cast<const uint8_t*>(a + i));
      seen = vorrq_u8(seen, vorrq_u8(vaddq_u8(x.val[0], offset), vaddq_u8(x.val[1], offset)));
    }
    if (vmaxvq_u8(seen) >= 16) return false;
  }
  return true;
}

template <typename Tile>
static size_t PreparedBytes(const PackedMatMul& op, const PackedMatMulBlock& whole) {
  if (!StrassenPays(Tile::kStrassen, whole.row_end, whole.channel_end, op.k)) return 0;
  if (!IsInt4(whole.a, whole.row_end, op.k, whole.a_stride)) return 0;
  return WholeRows(whole.row_end) / kFastRows * FactorBytes(op.k);
}

template <typename Tile>
static void PrepareRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  Product product = MakeProduct(op, block);
  product.row_end = WholeRows(product.row_end);
  MakeRowFactors<Tile>(product, FactorsOf(block));
}

template <typename Tile, typename FewTile, int kBits>
static constexpr PackedMatMulKernel MakePackedMatMulKernel() {
  PackedMatMulKernel kernel = {Tile::kRows, kChannelTile, RunPackedToInt8<Tile, FewTile, kBits>,
                               nullptr};
  if constexpr (kBits == 8) kernel.run_to_int32 = RunPacked<Tile, FewTile, kBits, ToInt32>;
  if constexpr (kBits == 4 && Tile::kStrassen.step_macs > 0) {
    kernel.row_tile = kFastRows;
    kernel.prepared_bytes = PreparedBytes<Tile>;
    kernel.prepare = PrepareRows<Tile>;
  }
  return kernel;
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_NEON_H_
