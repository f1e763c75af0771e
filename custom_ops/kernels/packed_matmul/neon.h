// What the arm64 kernels of the packed matmuls share: the weights of the file as panels, and the
// epilogues.

#ifndef PQV_KERNELS_PACKED_MATMUL_NEON_H_
#define PQV_KERNELS_PACKED_MATMUL_NEON_H_

#include "kernels/common/saturation_neon.h"
#include "kernels/gemm/strassen_neon.h"
#include "kernels/gemm/tile_neon.h"
#include "kernels/packed_matmul/packed_matmul.h"

namespace pqv {
namespace arm64 {

constexpr size_t kChannelTile = 64;
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
    const size_t stride = Form::Stride(count);
    for (size_t c = 0; c < channels; c += kPanelChannels) {
      const uint8_t* panel = Group(op.weights, kBits, op.k, k, n + c);
      const auto load = [&](size_t g) PQV_LAMBDA {
        return Source::LoadStored(panel + g * Source::kGroupBytes);
      };
      MakePanel<TileForm>(CeilDivide(count, kGroupSize), load,
                          scratch + c / kPanelChannels * stride);
    }
    return {scratch, stride};
  }
};

// The factors of Strassen's product, of eight channels from n on and of eight `right` of these.
struct FactorPanels {
  const PackedMatMul& op;

  PQV_INLINE void Make(size_t n, size_t right, size_t k, size_t block_k, uint8_t* factors) const {
    const auto block = [&](size_t i, size_t j) PQV_LAMBDA {
      return Group(op.weights, 4, op.k, k + i * block_k, n + j * right);
    };
    MakeFactorsOfPanels<true>(block(0, 0), block(0, 1), block(1, 0), block(1, 1),
                              block_k / kGroupSize, factors);
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

// `count` channels of rows of a residual that are not one after the other, or cut.
static __attribute__((noinline, unused)) void CopyResidualRows(const int8_t* rows, size_t stride,
                                                               size_t all, size_t first,
                                                               size_t wanted, size_t count,
                                                               int8_t* buffer) {
  for (size_t r = 0; r < wanted; ++r) {
    memcpy(buffer + r * kPanelChannels, rows + (first + r) % all * stride, count);
  }
}

// The residual of some rows, from a channel on. Row r of the output has row r % count of it.
class ResidualRows {
 public:
  static constexpr bool kIsNone = false;

  PQV_INLINE ResidualRows(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row,
                          size_t n)
      : multiplier_(op.residual_multiplier + n),
        rows_(block.residual + n),
        stride_(block.residual_stride),
        count_(block.residual_rows),
        first_(row < count_ ? row : row % count_) {}

  PQV_INLINE void Next() {
    multiplier_ += kPanelChannels;
    rows_ += kPanelChannels;
  }

  // Of `count` channels.
  template <size_t kRows>
  PQV_INLINE void AddTo(size_t count, int16x8_t (&u)[kRows]) const {
    const int16x8_t multiplier = vld1q_s16(multiplier_);
    int8x8_t x[kRows];
    Load(count, x);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      u[r] = vqaddq_s16(u[r], vqrdmulhq_s16(vshll_n_s8(x[r], 8), multiplier));
    }
  }

 private:
  template <size_t kRows>
  PQV_INLINE void Load(size_t count, int8x8_t (&x)[kRows]) const {
    const int8_t* row = rows_ + first_ * stride_;
    if (count == kPanelChannels && first_ + kRows <= count_) {
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) x[r] = LoadNext8(&row, stride_);
      return;
    }
    int8_t buffer[kRows * kPanelChannels] = {};
    CopyResidualRows(rows_, stride_, count_, first_, kRows, count, buffer);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) x[r] = vld1_s8(buffer + r * kPanelChannels);
  }

  const int16_t* multiplier_;
  const int8_t* rows_;
  size_t stride_;
  size_t count_;
  size_t first_;
};

struct NoResidual {
  static constexpr bool kIsNone = true;

  PQV_INLINE NoResidual(const PackedMatMul&, const PackedMatMulBlock&, size_t, size_t) {}
  PQV_INLINE void Next() {}
  template <size_t kRows>
  PQV_INLINE void AddTo(size_t, int16x8_t (&)[kRows]) const {}
};

template <typename Residual>
class ToInt8 {
 public:
  using Output = int8_t;

  PQV_INLINE ToInt8(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y)
      : op_(op), block_(block), y_(y), limits_(MakeLimits(op.y_bits)) {}

  PQV_INLINE const int32_t* bias(size_t n) const { return op_.rounded_bias + n; }

  // Of a tile, unless the rows of its residual are not one after the other.
  PQV_INLINE StrassenEnds EndsOf(size_t row, size_t n) const {
    StrassenEnds ends = {op_.requantizer.upper_shift + n,
                         op_.requantizer.multiplier + n,
                         reinterpret_cast<const int8_t*>(&limits_),
                         y_ + row * block_.y_stride + n,
                         block_.y_stride,
                         nullptr,
                         nullptr,
                         0};
    if constexpr (!Residual::kIsNone) {
      const size_t first = row % block_.residual_rows;
      if (first + kFastRows > block_.residual_rows) return {};
      ends.residual_multiplier = op_.residual_multiplier + n;
      ends.residual = block_.residual + first * block_.residual_stride + n;
      ends.residual_stride = block_.residual_stride;
    }
    return ends;
  }

  template <size_t kRows>
  class Rows {
   public:
    PQV_INLINE Rows(const ToInt8& to, size_t row, size_t n)
        : bias_(to.op_.rounded_bias + n),
          shift_(to.op_.requantizer.upper_shift + n),
          multiplier_(to.op_.requantizer.multiplier + n),
          residual_(to.op_, to.block_, row, n),
          y_(to.y_ + row * to.block_.y_stride + n),
          stride_(to.block_.y_stride),
          limits_(to.limits_) {}

    PQV_INLINE void Next() {
      bias_ += kPanelChannels;
      shift_ += kPanelChannels;
      multiplier_ += kPanelChannels;
      residual_.Next();
      y_ += kPanelChannels;
    }

    PQV_INLINE void Begin(Sums<kRows>* sums) const { BeginWithBias(bias_, sums); }

    template <typename TileSums>
    PQV_INLINE void End(const TileSums& sums, size_t count) const {
      const int16x8_t multiplier = vld1q_s16(multiplier_);
      int16x8_t u[kRows];
      UpperHalvesOf(sums, shift_, u);
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) u[r] = vqrdmulhq_s16(u[r], multiplier);
      residual_.AddTo(count, u);
      StoreRows(u, limits_, count, y_, stride_);
    }

   private:
    const int32_t* bias_;
    const int32_t* shift_;
    const int16_t* multiplier_;
    Residual residual_;
    int8_t* y_;
    size_t stride_;
    Limits limits_;
  };

 private:
  const PackedMatMul op_;
  const PackedMatMulBlock block_;
  int8_t* const y_;
  Limits limits_;
};

class ToInt32 {
 public:
  using Output = int32_t;

  PQV_INLINE ToInt32(const PackedMatMul& op, const PackedMatMulBlock& block, int32_t* y)
      : bias_(op.bias), y_(y), stride_(block.y_stride) {}

  template <size_t kRows>
  class Rows {
   public:
    PQV_INLINE Rows(const ToInt32& to, size_t row, size_t n)
        : bias_(to.bias_ + n), y_(to.y_ + row * to.stride_ + n), stride_(to.stride_) {}

    PQV_INLINE void Next() {
      bias_ += kPanelChannels;
      y_ += kPanelChannels;
    }

    PQV_INLINE void Begin(Sums<kRows>* sums) const { BeginWithBias(bias_, sums); }

    template <typename TileSums>
    PQV_INLINE void End(const TileSums& sums, size_t count) const {
      StoreRows(InRows(sums), count, y_, stride_);
    }

   private:
    const int32_t* bias_;
    int32_t* y_;
    size_t stride_;
  };

 private:
  const int32_t* const bias_;
  int32_t* const y_;
  const size_t stride_;
};

template <typename Tile, int kBits, typename Epilogue>
static void RunDirect(const PackedMatMul& op, const Product& product, const Epilogue& epilogue,
                      const PackedRows<Tile>& packed = {}) {
  using Panels = typename PanelsFor<kBits, typename Tile::Form>::Type;
  RunProduct<Tile>(product, Panels{op}, epilogue, packed);
}

static PQV_INLINE Product MakeProduct(const PackedMatMul& op, const PackedMatMulBlock& block) {
  return {block.row_begin,   block.row_end, block.channel_begin,
          block.channel_end, op.k,          reinterpret_cast<const uint8_t*>(block.a),
          block.a_stride};
}

// What runs kMaxDirectRows or fewer: a tile that reads weights where they are in the file.
template <typename Tile>
struct FewRows {
  template <int kBits, typename Epilogue>
  static void Run(const PackedMatMul& op, const PackedMatMulBlock& block,
                  typename Epilogue::Output* y) {
    RunProduct<Tile>(MakeProduct(op, block), FilePanels<kBits>{op}, Epilogue(op, block, y));
  }
};

#if defined(PQV_HAS_DOTPROD)
// That of the variant dotprod, whose code is there already.
struct FewRowsOfDotprod {
  template <int kBits, typename Epilogue>
  static void Run(const PackedMatMul& op, const PackedMatMulBlock& block,
                  typename Epilogue::Output* y) {
    PackedMatMulBlock own = block;
    own.prepared = nullptr;
    const PackedMatMulKernel& kernel =
        kBits == 4 ? dotprod::kPackedInt4MatMul : dotprod::kPackedInt8MatMul;
    if constexpr (sizeof(*y) == 1) {
      kernel.run(op, own, y);
    } else {
      kernel.run_to_int32(op, own, y);
    }
  }
};
#endif

// How the product of `rows` in all is split; not at all with 0 levels.
template <typename Tile>
static FastShape ShapeOf(const PackedMatMul& op, size_t rows) {
  return {StrassenLevels(Tile::kStrassen, rows, op.n, op.k)};
}

// The prepared rows of a product, which are those of its row 0 first.
template <typename Tile>
static RowFactors FactorsOf(const PackedMatMul& op, const PackedMatMulBlock& block) {
  const FastShape shape = ShapeOf<Tile>(op, block.prepared_rows);
  return {block.prepared, block.prepared_rows / shape.Tile(), shape};
}

// Strassen's product, and the channels that are no whole tile directly.
template <typename Tile, typename Epilogue>
static void RunFast(const PackedMatMul& op, const PackedMatMulBlock& block,
                    const Epilogue& epilogue) {
  const RowFactors factors = FactorsOf<Tile>(op, block);
  Product whole = MakeProduct(op, block);
  Product rest = whole;
  whole.channel_end = factors.shape.WholeEnd(whole.channel_begin, whole.channel_end);
  RunFastProduct<Tile>(whole, factors, FactorPanels{op}, epilogue,
                       reinterpret_cast<FastScratch*>(block.scratch));
  if (rest.channel_end > whole.channel_end) {
    rest.channel_begin = whole.channel_end;
    RunDirect<Tile, 4>(op, rest, epilogue);
  }
}

// What is prepared: factors of rows for Strassen's product, else packed rows.
template <typename Tile, int kBits>
constexpr bool kPreparesFactors = kBits == 4 && Tile::kStrassen.step_macs > 0;

template <typename Tile>
static PackedRows<Tile> PackedRowsOf(const PackedMatMul& op, const PackedMatMulBlock& block) {
  if (block.prepared == nullptr) return {};
  return {block.prepared, CeilDivide(block.prepared_rows, Tile::kRows), op.k};
}

// `Few` runs kMaxDirectRows or fewer.
template <typename Tile, typename Few, int kBits, typename Epilogue>
static void RunPacked(const PackedMatMul& op, const PackedMatMulBlock& block,
                      typename Epilogue::Output* y) {
  if (block.row_end - block.row_begin <= kMaxDirectRows) {
    return Few::template Run<kBits, Epilogue>(op, block, y);
  }
  const Epilogue epilogue(op, block, y);
  const Product product = MakeProduct(op, block);
  if constexpr (kPreparesFactors<Tile, kBits>) {
    if (block.prepared != nullptr) return RunFast<Tile>(op, block, epilogue);
    RunDirect<Tile, kBits>(op, product, epilogue);
  } else {
    RunDirect<Tile, kBits>(op, product, epilogue, PackedRowsOf<Tile>(op, block));
  }
}

template <typename Tile, typename Few, int kBits>
static void RunPackedToInt8(const PackedMatMul& op, const PackedMatMulBlock& block, int8_t* y) {
  if (op.residual_multiplier != nullptr) {
    return RunPacked<Tile, Few, kBits, ToInt8<ResidualRows>>(op, block, y);
  }
  RunPacked<Tile, Few, kBits, ToInt8<NoResidual>>(op, block, y);
}

// Activations of 8 bits are mostly told by their first row; preparing finds out the others.
template <typename Tile>
static size_t FactorsBytes(const PackedMatMul& op, PackedMatMulBlock* whole) {
  const FastShape shape = ShapeOf<Tile>(op, whole->row_end);
  if (shape.levels == 0 || !AreInt4(whole->a, 1, whole->a_stride, op.k)) return 0;
  return whole->row_end / shape.Tile() * shape.RowBytes(op.k);
}

template <typename Tile>
static bool MakeFactors(const PackedMatMul& op, const PackedMatMulBlock& block) {
  const RowFactors factors = FactorsOf<Tile>(op, block);
  Product product = MakeProduct(op, block);
  product.row_end = factors.shape.WholeEnd(product.row_begin, product.row_end);
  return MakeRowFactors(product, factors);
}

static inline size_t FastScratchBytes(const PackedMatMul&, const PackedMatMulBlock& block) {
  return block.prepared != nullptr ? sizeof(FastScratch) : 0;
}

// Where several tasks would pack the same rows.
template <typename Tile>
static size_t PackedRowsBytes(const PackedMatMul& op, PackedMatMulBlock* whole) {
  if (whole->row_end <= kMaxDirectRows || whole->channel_end <= kChannelTile || op.k == 0) return 0;
  return PackedRows<Tile>::Bytes(CeilDivide(whole->row_end, Tile::kRows), op.k);
}

template <typename Tile>
static bool PackRows(const PackedMatMul& op, const PackedMatMulBlock& block) {
  PackedRowsOf<Tile>(op, block).Pack(MakeProduct(op, block));
  return true;
}

template <typename Tile, typename Few, int kBits>
static constexpr PackedMatMulKernel MakePackedMatMulKernel() {
  PackedMatMulKernel kernel = {Tile::kRows, kChannelTile, RunPackedToInt8<Tile, Few, kBits>,
                               nullptr};
  if constexpr (kBits == 8) kernel.run_to_int32 = RunPacked<Tile, Few, kBits, ToInt32>;
  if constexpr (kPreparesFactors<Tile, kBits>) {
    kernel.row_tile = kMaxFastTile;
    kernel.prepared_bytes = FactorsBytes<Tile>;
    kernel.prepare = MakeFactors<Tile>;
    kernel.scratch_bytes = FastScratchBytes;
  } else {
    kernel.prepared_bytes = PackedRowsBytes<Tile>;
    kernel.prepare = PackRows<Tile>;
  }
  return kernel;
}

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_NEON_H_
