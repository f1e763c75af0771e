// Int8 matrix products as sums of outer products with SMOPA or USMOPA, of 16 rows by 64 channels at
// a time, for files built with +i8mm. In assembly: while the processor streams, NEON is not
// allowed, which compilers use for anything.
//
// Vectors have 512 bits, see CpuHasSme. The sums of a strip of 16 rows are all of ZA: row r by the
// channels from 16 * t on is row r of tile t, so that its vectors, in their order, are the strip's
// sums row after row.

#ifndef PQV_KERNELS_GEMM_TILE_SME_H_
#define PQV_KERNELS_GEMM_TILE_SME_H_

#include "kernels/gemm/strassen.h"
#include "kernels/gemm/tile_neon.h"

namespace pqv {
namespace arm64 {

constexpr size_t kSmeBytes = 64;              // of a vector
constexpr size_t kStripRows = kSmeBytes / 4;  // a vector has 4 k of each
constexpr size_t kStripChannels = 4 * kSmeBytes / 4;
constexpr size_t kZaBytes = kSmeBytes * kSmeBytes;
static_assert(kStripChannels == kPartialChannels, "sums of a strip are those of a block");
static_assert(kMaxBlockRows % kStripRows == 0, "a block has whole strips");

// Panels of 64 channels: groups of 4 k of all of them.
struct WideForm {
  static constexpr size_t kGroupBytes = kGroupSize * kStripChannels;
  static constexpr size_t kBlockBytes = kBlockGroups * kGroupBytes;

  // From 8 channels to the next 8.
  static constexpr size_t Stride(size_t) { return kGroupSize * kPanelChannels; }

  template <typename Group>
  static PQV_INLINE void Store(const Group* groups, uint8_t* target) {
#pragma GCC unroll 4
    for (size_t g = 0; g < kBlockGroups; ++g) {
      StoreBytes(target + g * kGroupBytes, Low(groups[g]));
      StoreBytes(target + g * kGroupBytes + 16, High(groups[g]));
    }
  }
};

// Strips of packed rows, and where their sums by a panel belong.
struct StripProducts {
  const uint8_t* rows;  // for each 16 k, four groups of 4 k of all rows
  size_t strip_bytes;
  size_t strips;
  const uint8_t* panel;
  size_t blocks;  // of 16 k
  bool is_first;  // else the products are added to the sums
  int32_t* sums;  // [strips][kStripRows][kStripChannels]
};

// clang-format off
#define PQV_ZA_4(op, i)                                                              \
  op " za[w12, #(" #i ")], [%[za], #(" #i "), mul vl]\n\t"                           \
  op " za[w12, #(" #i " + 1)], [%[za], #(" #i " + 1), mul vl]\n\t"                   \
  op " za[w12, #(" #i " + 2)], [%[za], #(" #i " + 2), mul vl]\n\t"                   \
  op " za[w12, #(" #i " + 3)], [%[za], #(" #i " + 3), mul vl]\n\t"
// All of ZA from or to `za`, which moves behind it.
#define PQV_ALL_OF_ZA(op)                                                            \
  "mov w12, #0\n"                                                                    \
  "8:\n\t"                                                                           \
  PQV_ZA_4(op, 0) PQV_ZA_4(op, 4) PQV_ZA_4(op, 8) PQV_ZA_4(op, 12)                   \
  "add %[za], %[za], #1024\n\t"                                                      \
  "add w12, w12, #16\n\t"                                                            \
  "cmp w12, #64\n\t"                                                                 \
  "b.ne 8b\n\t"
#define PQV_LOAD_GROUP(g, a, w0, w1, w2, w3)                                         \
  "ldr z" #a ", [%[a], #(" #g "), mul vl]\n\t"                                       \
  "ldr z" #w0 ", [%[w], #(4 * " #g "), mul vl]\n\t"                                  \
  "ldr z" #w1 ", [%[w], #(4 * " #g " + 1), mul vl]\n\t"                              \
  "ldr z" #w2 ", [%[w], #(4 * " #g " + 2), mul vl]\n\t"                              \
  "ldr z" #w3 ", [%[w], #(4 * " #g " + 3), mul vl]\n\t"
#define PQV_ADD_GROUP(op, a, w0, w1, w2, w3)                                         \
  op " za0.s, p0/m, p0/m, z" #a ".b, z" #w0 ".b\n\t"                                 \
  op " za1.s, p0/m, p0/m, z" #a ".b, z" #w1 ".b\n\t"                                 \
  op " za2.s, p0/m, p0/m, z" #a ".b, z" #w2 ".b\n\t"                                 \
  op " za3.s, p0/m, p0/m, z" #a ".b, z" #w3 ".b\n\t"
#define PQV_ADD_STRIPS(op)                                                           \
  ".arch_extension sme\n\t"                                                          \
  "smstart\n\t"                                                                      \
  "ptrue p0.b\n"                                                                     \
  "1:\n\t"                                                                           \
  "zero {za}\n\t"                                                                    \
  "cbnz %w[is_first], 2f\n\t"                                                        \
  PQV_ALL_OF_ZA("ldr")                                                               \
  "sub %[za], %[za], #4096\n"                                                        \
  "2:\n\t"                                                                           \
  "mov %[a], %[rows]\n\t"                                                            \
  "mov %[w], %[panel]\n\t"                                                           \
  "mov %[left], %[blocks]\n\t"                                                       \
  "cbz %[blocks], 4f\n"                                                              \
  "3:\n\t"                                                                           \
  PQV_LOAD_GROUP(0, 0, 16, 17, 18, 19)                                               \
  PQV_LOAD_GROUP(1, 1, 20, 21, 22, 23)                                               \
  PQV_ADD_GROUP(op, 0, 16, 17, 18, 19)                                               \
  PQV_LOAD_GROUP(2, 2, 24, 25, 26, 27)                                               \
  PQV_ADD_GROUP(op, 1, 20, 21, 22, 23)                                               \
  PQV_LOAD_GROUP(3, 3, 28, 29, 30, 31)                                               \
  PQV_ADD_GROUP(op, 2, 24, 25, 26, 27)                                               \
  PQV_ADD_GROUP(op, 3, 28, 29, 30, 31)                                               \
  "add %[a], %[a], #256\n\t"                                                         \
  "add %[w], %[w], #1024\n\t"                                                        \
  "subs %[left], %[left], #1\n\t"                                                    \
  "b.ne 3b\n"                                                                        \
  "4:\n\t"                                                                           \
  PQV_ALL_OF_ZA("str")                                                               \
  "add %[rows], %[rows], %[strip_bytes]\n\t"                                         \
  "subs %[strips], %[strips], #1\n\t"                                                \
  "b.ne 1b\n\t"                                                                      \
  "smstop sm"
// Entering and leaving streaming clears every vector.
#define PQV_ALL_VECTORS                                                              \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",   \
  "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",       \
  "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"

// ZA of whoever called us, if they use it, and the floating-point status, which entering streaming
// overwrites: both are as they were when this is gone.
class OwnZa {
 public:
  OwnZa() {
    uint64_t svcr;
    __asm__ volatile("mrs %0, S3_3_C4_C2_2" : "=r"(svcr));
    __asm__ volatile("mrs %0, fpsr" : "=r"(fpsr_));
    is_in_use_ = (svcr & kZaBit) != 0;
    uint8_t* za = saved_;
    if (is_in_use_) {
      __asm__ volatile(".arch_extension sme\n\t" PQV_ALL_OF_ZA("str")
                       : [za] "+r"(za) : : "cc", "memory", "x12");
    }
  }

  ~OwnZa() {
    const uint8_t* za = saved_;
    if (is_in_use_) {
      __asm__ volatile(".arch_extension sme\n\t" PQV_ALL_OF_ZA("ldr")
                       : [za] "+r"(za) : : "cc", "memory", "x12");
    } else {
      __asm__ volatile(".arch_extension sme\n\t" "smstop za" : : : "memory");
    }
    __asm__ volatile("msr fpsr, %0" : : "r"(fpsr_));
  }

  OwnZa(const OwnZa&) = delete;
  OwnZa& operator=(const OwnZa&) = delete;

 private:
  static constexpr uint64_t kZaBit = 2;

  uint8_t saved_[kZaBytes];
  uint64_t fpsr_;
  bool is_in_use_;
};

// `kRowSign` is the sign of rows; channels are signed. One strip or more.
template <Sign kRowSign>
static __attribute__((noinline)) void AddStrips(const StripProducts& op) {
  const OwnZa own;
  const uint8_t* rows = op.rows;
  const uint8_t *a, *w;
  size_t strips = op.strips, left;
  int32_t* za = op.sums;
#define PQV_OPERANDS                                                                            \
  : [rows] "+&r"(rows), [strips] "+&r"(strips), [za] "+&r"(za), [a] "=&r"(a), [w] "=&r"(w),     \
    [left] "=&r"(left)                                                                          \
  : [panel] "r"(op.panel), [blocks] "r"(op.blocks), [strip_bytes] "r"(op.strip_bytes),          \
    [is_first] "r"(int{op.is_first})                                                            \
  : "cc", "memory", "x12", "p0", PQV_ALL_VECTORS
  if constexpr (kRowSign == Sign::kUnsigned) {
    __asm__ volatile(PQV_ADD_STRIPS("usmopa") PQV_OPERANDS);
  } else {
    __asm__ volatile(PQV_ADD_STRIPS("smopa") PQV_OPERANDS);
  }
#undef PQV_OPERANDS
}
// clang-format on

#undef PQV_ZA_4
#undef PQV_ALL_OF_ZA
#undef PQV_LOAD_GROUP
#undef PQV_ADD_GROUP
#undef PQV_ADD_STRIPS
#undef PQV_ALL_VECTORS

// A strip of 16 rows by the 64 channels of a block.
template <Sign kRowSign>
struct SmeTile {
  using Form = WideForm;
  static constexpr size_t kRows = kStripRows;
  static constexpr StrassenTile kStrassen = {};  // products take less than what is around them

  static constexpr size_t RowsBytes(size_t k) { return k * kRows; }

  static PQV_INLINE bool PackRows(const uint8_t* a, size_t stride, size_t rows, size_t k,
                                  uint8_t* packed) {
    for (size_t first = 0; first < rows; first += kHalfRows) {
      const uint8_t* row[kHalfRows];
#pragma GCC unroll 4
      for (size_t r = 0; r < kHalfRows; ++r) row[r] = a + Min(first + r, rows - 1) * stride;
      uint8_t* target = packed + kGroupSize * first;
      for (size_t i = 0; i < k; i += kBlockK, target += kBlockK * kRows) {
        int8x16_t x[kHalfRows];
#pragma GCC unroll 4
        for (size_t r = 0; r < kHalfRows; ++r) x[r] = LoadBlock(row[r], i, k);
        TransposeGroups(x);
#pragma GCC unroll 4
        for (size_t g = 0; g < kBlockGroups; ++g) StoreBytes(target + g * kSmeBytes, x[g]);
      }
    }
    return false;
  }
};

// What is left of a tile when its products are made: the epilogue. The "panel" of 8 channels is
// where their sums begin.
struct SumsTile {
  template <size_t kCount>
  class Accumulator {
   public:
    PQV_INLINE void Begin(const Sums<kCount>& sums) { sums_ = sums; }

    PQV_INLINE const Sums<kCount>& End() const { return sums_; }

    template <typename Form>
    PQV_INLINE void Add(const uint8_t*, bool, const uint8_t* panel, size_t) {
      AddPartial(reinterpret_cast<const int32_t*>(panel), &sums_);
    }

   private:
    Sums<kCount> sums_;
  };
};

namespace {

// The driver of these tiles: the sums of a block by 64 channels, and then what becomes of them.
template <Sign kRowSign>
struct BlockDriver<SmeTile<kRowSign>> {
  using Tile = SmeTile<kRowSign>;

  template <typename Panels, typename Epilogue>
  static void Run(const Product& op, size_t row_begin, size_t row_end, const Panels& panels,
                  const Epilogue& epilogue, const PackedRows<Tile>& packed) {
    alignas(64) uint8_t panel[kStripChannels * kMaxPassK];
    alignas(64) int32_t sums[kMaxBlockRows * kStripChannels];
    const size_t pass_k = PassK(op.k);
    for (size_t n = op.channel_begin; n < op.channel_end; n += kStripChannels) {
      const size_t n_end = Min(n + kStripChannels, op.channel_end);
      size_t k = 0;
      do {
        const size_t count = Min(op.k - k, pass_k);
        panels.Make(n, k, n_end - n, count, panel);
        AddPass(op, row_begin, row_end, k, count, panel, packed, sums);
        k += count;
      } while (k < op.k);
      for (size_t row = row_begin; row < row_end;) {
        const int32_t* const first = sums + (row - row_begin) * kStripChannels;
        row += EndRows(first, row, row_end - row, n, n_end, epilogue);
      }
    }
  }

 private:
  static constexpr size_t kRowBytes = 48 << 10;  // of rows that are packed here

  // The epilogue of some of the rows that are left, 8 if it can be: how many.
  template <typename Epilogue>
  static PQV_INLINE size_t EndRows(const int32_t* sums, size_t row, size_t left, size_t n,
                                   size_t n_end, const Epilogue& epilogue) {
    TilePass pass = {};
    pass.panels = {reinterpret_cast<const uint8_t*>(sums), kPanelChannels * sizeof(int32_t)};
    pass.is_first = pass.is_last = true;
    if (left >= 8) return EndRowsOf<8>(pass, row, n, n_end, epilogue);
    if (left >= 4) return EndRowsOf<4>(pass, row, n, n_end, epilogue);
    return EndRowsOf<1>(pass, row, n, n_end, epilogue);
  }

  template <size_t kRows, typename Epilogue>
  static PQV_INLINE size_t EndRowsOf(const TilePass& pass, size_t row, size_t n, size_t n_end,
                                     const Epilogue& epilogue) {
    RunTile<SumsTile, kRows, WideForm>(pass, row, n, n_end, epilogue);
    return kRows;
  }

  // `count` k, from k on: of rows that were packed before, or of some at a time that are packed
  // now.
  static void AddPass(const Product& op, size_t row_begin, size_t row_end, size_t k, size_t count,
                      const uint8_t* panel, const PackedRows<Tile>& packed, int32_t* sums) {
    StripProducts products = {nullptr,
                              Tile::RowsBytes(RoundUp(count, kBlockK)),
                              CeilDivide(row_end - row_begin, kStripRows),
                              panel,
                              CeilDivide(count, kBlockK),
                              k == 0,
                              sums};
    if (const auto pass = packed.From(k); pass.tiles > 0) {
      products.rows = pass.rows + row_begin / kStripRows * pass.tile_bytes;
      return AddStrips<kRowSign>(products);
    }
    alignas(64) uint8_t packed_here[kRowBytes];
    const size_t most = count > 0 ? kRowBytes / products.strip_bytes : products.strips;
    products.rows = packed_here;
    for (size_t row = row_begin; row < row_end; row += most * kStripRows) {
      const size_t end = Min(row + most * kStripRows, row_end);
      products.strips = CeilDivide(end - row, kStripRows);
      for (size_t first = row; first < end; first += kStripRows) {
        PackTile<Tile>(op, first, Min(end - first, kStripRows), k, count,
                       packed_here + (first - row) / kStripRows * products.strip_bytes);
      }
      AddStrips<kRowSign>(products);
      products.sums += products.strips * kStripRows * kStripChannels;
    }
  }
};

}  // namespace

}  // namespace arm64
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_SME_H_
