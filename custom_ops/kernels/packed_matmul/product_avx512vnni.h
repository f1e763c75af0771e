// Products of a panel with VPDPBUSD, direct or Winograd's: tiles of 12 rows by 32 channels in
// assembly, where their output is int8, and what is left of rows by the driver.

#ifndef PQV_KERNELS_PACKED_MATMUL_PRODUCT_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_PRODUCT_AVX512VNNI_H_

#include "kernels/packed_matmul/assembly_tile_avx512vnni.h"
#include "kernels/packed_matmul/panels_avx512vnni.h"

namespace pqv {
namespace avx512 {

template <size_t kVectors>
using NaturalToInt8 = Int8Epilogue<kVectors, NaturalOrder<kVectors>>;
template <size_t kVectors>
using NaturalToInt32 = Int32Epilogue<kVectors, NaturalOrder<kVectors>>;

// A kind of product, and where its factors are.
struct ProductForm {
  const RunAssemblyTile (*run)[2];  // [Shifts]
  const uint8_t* panel;
  size_t panel_stride;         // of FilePanel
  size_t steps;                // of the panel
  size_t stride;               // of prepared rows
  const int32_t* of_rows;      // what sums begin with, of each row, or null
  const int32_t* of_channels;  // of each channel of the product
};

// The tiles of 32 channels from n on.
class Tiles {
 public:
  // `first` is what sums begin with.
  PQV_INLINE Tiles(const PackedMatMul& op, const PackedMatMulBlock& block, size_t n, int8_t* y,
                   const ProductForm& form, const NaturalToInt8<kBlockVectors>& epilogue,
                   const __m512i* first)
      : op_(op), block_(block), n_(n), y_(y + n), form_(form) {
    const bool has_all = block.channel_end - n >= kBlockChannels;
    if (block.prepared == nullptr || !has_all || !epilogue.fits_shifted()) return;
    const Shifts shifts = epilogue.shifts();
    run_ = form.run[static_cast<size_t>(shifts)][op.residual_multiplier != nullptr];
    SetOutput(op, block, &tile_);
    SetChannels(op, n, shifts, &tile_);
    for (size_t v = 0; v < kBlockVectors; ++v) _mm512_store_si512(tile_.bias[v], first[v]);
    tile_.steps = form.steps;
  }

  // False where these rows are no tile.
  PQV_INLINE bool Run(size_t row, NextWeights* next) {
    if (run_ == nullptr || row + kBlockRows > block_.row_end) return false;
    if (op_.residual_multiplier != nullptr) {
      const size_t source = row % block_.residual_rows;
      if (source + kBlockRows > block_.residual_rows) return false;
      tile_.rows.residual = block_.residual + source * block_.residual_stride + n_;
    }
    int8_t* const y = y_ + row * block_.y_stride;
    for (size_t r = 0; r < kBlockRows; ++r) __builtin_prefetch(y + r * block_.y_stride, 1);
    tile_.rows.y = y;
    tile_.of_rows = form_.of_rows == nullptr ? nullptr : form_.of_rows + row;
    tile_.next = *next;
    run_(block_.prepared + row * form_.stride, form_.stride, form_.panel, form_.panel_stride,
         &tile_);
    *next = tile_.next;
    return true;
  }

 private:
  const PackedMatMul& op_;
  const PackedMatMulBlock& block_;
  const size_t n_;
  int8_t* const y_;
  const ProductForm form_;
  RunAssemblyTile run_ = nullptr;
  AssemblyTile tile_;
};

// Rows from `row` to row_end of the block.
template <size_t kVectors, typename Epilogue, typename Panel>
static PQV_INLINE void RunDriver(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row,
                                 size_t row_end, const Panel& panel, const ProductForm& form,
                                 const Epilogue& shared_epilogue, const __m512i* first,
                                 NextWeights* next) {
  const Epilogue epilogue = shared_epilogue;  // a copy, which stores of int8 cannot change
  const auto begin = [&](size_t r, __m512i* sums) PQV_LAMBDA {
    epilogue.Prefetch(row + r);
    const int32_t of_row = form.of_rows == nullptr ? 0 : form.of_rows[row + r];
    for (size_t v = 0; v < kVectors; ++v) {
      sums[v] = _mm512_add_epi32(first[v], _mm512_set1_epi32(of_row));
    }
  };
  const auto end = [&](size_t r, const __m512i* sums)
                       PQV_LAMBDA { epilogue.StoreSums(row + r, sums); };
  const auto beside = [&]() PQV_LAMBDA { next->Fetch(); };
  UnsignedRows source(op, block, form.stride, row);
  RunRows<PanelSign::kSigned, kVectors>(&source, row_end - row, panel, form.steps, begin, end,
                                        beside);
}

// All rows of the block by the 16 * kVectors channels from n on.
template <size_t kVectors, typename Epilogue, typename Panel>
static inline void RunProduct(const PackedMatMul& op, int bits, const PackedMatMulBlock& block,
                              size_t n, typename Epilogue::Output* y, const Panel& panel,
                              const ProductForm& form, const Epilogue& epilogue) {
  constexpr size_t kChannels = kLanes32 * kVectors;
  constexpr bool kHasTiles = sizeof(typename Epilogue::Output) == 1;
  constexpr size_t kRows = kHasTiles ? kBlockRows : kTileRows;
  const size_t tile_count = CeilDivide(block.row_end - block.row_begin, kRows);
  __m512i first[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    const __m512i of_channels = _mm512_loadu_si512(form.of_channels + n + kLanes32 * v);
    first[v] = _mm512_add_epi32(epilogue.First()[v], of_channels);
  }
  Epilogue::PrefetchChannels(op, n + kChannels);
  NextWeights next(op, bits, n + kChannels, kChannels, tile_count * form.steps);
  if constexpr (kHasTiles) {
    Tiles tiles(op, block, n, y, form, epilogue, first);
    for (size_t row = block.row_begin; row < block.row_end; row += kRows) {
      if (tiles.Run(row, &next)) continue;
      const size_t row_end = Min(row + kRows, block.row_end);
      RunDriver<kVectors>(op, block, row, row_end, panel, form, epilogue, first, &next);
    }
  } else {
    RunDriver<kVectors>(op, block, block.row_begin, block.row_end, panel, form, epilogue, first,
                        &next);
  }
}

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_PRODUCT_AVX512VNNI_H_
