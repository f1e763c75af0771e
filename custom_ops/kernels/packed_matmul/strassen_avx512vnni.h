// Strassen's product of codes of 4 bits with VPDPBUSD, see gemm/strassen.h. Blocks of A have 12
// rows, those of B 32 channels.
//
// The factors of A are unsigned by offsets:
//
//   A11, A12: 2a + b    A22: a + b    S1: 2a + 2b    S2: b    S3: a    S4: 2a
//
// What these add to C11 and C12 is 2a + b times the sum of a channel's weights, to C21 and C22
// a + b times, as all that is different of them cancels out; it comes off with the bias. K goes by
// passes whose factors of B stay in L2; what is summed up of the passes before lies in memory.

#ifndef PQV_KERNELS_PACKED_MATMUL_STRASSEN_AVX512VNNI_H_
#define PQV_KERNELS_PACKED_MATMUL_STRASSEN_AVX512VNNI_H_

#include "kernels/packed_matmul/assembly_tile_avx512vnni.h"
#include "kernels/packed_matmul/panels_avx512vnni.h"

namespace pqv {
namespace avx512 {

constexpr size_t kMaxFastK = 3072;                // of a pass
constexpr size_t kFastBlockRows = 9 * kFastRows;  // rows that share factors of B
constexpr size_t kFactorsOfB = kStrassenProducts + 1;
constexpr int kOffsetA = 16;
constexpr int kOffsetB = 24;
constexpr int kUpperOffset = 2 * kOffsetA + kOffsetB;  // of C11 and C12
constexpr int kLowerOffset = kOffsetA + kOffsetB;      // of C21 and C22
constexpr int kFactorOffsets[kStrassenProducts] = {
    kUpperOffset, kUpperOffset, kOffsetB, kOffsetA, kLowerOffset, 2 * kLowerOffset, 2 * kOffsetA};
// S3 is in [-15, 15], S4 in [-30, 30], S2 in [-23, 22], S1 in [-16, 14], codes in [-8, 7].
static_assert(kOffsetA >= 15 && kOffsetB >= 23 && 2 * kLowerOffset + 14 <= 127);

// K is halved in every pass.
static inline size_t FastPass(size_t k) {
  return EvenPart(k, kMaxFastK, 2 * kStrassenTile.block_k);
}

// Bytes of the factors of a tile of rows: of pass after pass [7, 12, half of its K].
static constexpr size_t RowFactorBytes(size_t k) { return kStrassenProducts * kBlockRows * k / 2; }

// Which values are no codes of 4 bits.
static PQV_INLINE __mmask64 BeyondInt4(__m512i x) {
  const __m512i code = _mm512_add_epi8(x, _mm512_set1_epi8(8));
  return _mm512_cmpgt_epu8_mask(code, _mm512_set1_epi8(15));
}

// Four vectors of a row of each block of A, as factors `stride` apart. Returns whether they are
// codes of 4 bits.
static PQV_INLINE bool StoreRowFactors(const __m512i (&a)[2][2], __mmask64 lanes, size_t stride,
                                       uint8_t* factors) {
  const __m512i s1 = _mm512_add_epi8(a[1][0], a[1][1]);
  const __m512i s2 = _mm512_sub_epi8(s1, a[0][0]);
  const __m512i s3 = _mm512_sub_epi8(a[0][0], a[1][0]);
  const __m512i s4 = _mm512_sub_epi8(a[0][1], s2);
  const __m512i x[kStrassenProducts] = {a[0][0], a[0][1], s2, s3, a[1][1], s1, s4};
#pragma GCC unroll 7
  for (size_t f = 0; f < kStrassenProducts; ++f) {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(kFactorOffsets[f]));
    _mm512_mask_storeu_epi8(factors + f * stride, lanes, _mm512_add_epi8(x[f], offset));
  }
  __mmask64 others = 0;
  for (size_t i = 0; i < 4; ++i) others |= BeyondInt4(a[i / 2][i % 2]);
  return others == 0;
}

// The factors of the rows of a tile. False if a value is no code of 4 bits.
static inline bool MakeRowFactors(const int8_t* a, size_t stride, size_t k_total,
                                  uint8_t* factors) {
  bool are_int4 = true;
  const size_t pass = FastPass(k_total);
  for (size_t k = 0; k < k_total; k += pass) {
    const size_t half = Min(k_total - k, pass) / 2;
    for (size_t r = 0; r < kBlockRows; ++r) {
      for (size_t i = 0; i < half; i += 64) {
        const __mmask64 lanes = FirstLanes(half - i);
        __m512i x[2][2];
        for (size_t block = 0; block < 4; ++block) {
          const size_t row = r + block / 2 * kBlockRows;
          const int8_t* const source = a + row * stride + k + block % 2 * half + i;
          x[block / 2][block % 2] = _mm512_maskz_loadu_epi8(lanes, source);
        }
        are_int4 &= StoreRowFactors(x, lanes, kBlockRows * half, factors + r * half + i);
      }
    }
    factors += kStrassenProducts * kBlockRows * half;
  }
  return are_int4;
}

// The factors of B of 64 channels and a pass, each of `half` times 32 bytes.
class ChannelFactors {
 public:
  explicit ChannelFactors(uint8_t* memory) : factors_(memory) {}

  static size_t Bytes(size_t k) { return kFactorsOfB * FastPass(k) / 2 * kBlockChannels; }

  PQV_INLINE void Make(const PackedMatMul& op, size_t n, size_t k, size_t half) {
    bytes_ = half * kBlockChannels;
    const uint8_t* panels[2][2];
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < 2; ++j) {
        panels[i][j] = Group(op.weights, 4, op.k, k + i * half, n + j * kBlockChannels);
      }
    }
    const size_t stride = op.k / kGroupSize * GroupBytes(4);
    uint8_t* b11 = factors_;
    for (size_t at = 0; at < half / kGroupSize * GroupBytes(4); at += 64) {
      AddTwoSteps<0x44>(panels, stride, at, b11, bytes_);
      AddTwoSteps<0xEE>(panels, stride, at, b11 + 2 * kStepBytes, bytes_);
      b11 += 4 * kStepBytes;
    }
  }

  const uint8_t* operator[](size_t factor) const { return factors_ + factor * bytes_; }

 private:
  static constexpr size_t kStepBytes = kBlockVectors * kVectorBytes;

  // The steps of two of the four groups of k that 64 bytes of a panel of the file have, which
  // kPick takes; `stride` is that of the panels, `bytes` those of a factor.
  template <int kPick>
  static PQV_INLINE void AddTwoSteps(const uint8_t* const (&panels)[2][2], size_t stride, size_t at,
                                     uint8_t* b11, size_t bytes) {
    __m512i groups[2][2][2];
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < 2; ++j) {
        const uint8_t* const x = panels[i][j] + at;
        const __m512i front =
            _mm512_shuffle_i32x4(_mm512_loadu_si512(x), _mm512_loadu_si512(x + stride), kPick);
        const __m512i back = _mm512_shuffle_i32x4(_mm512_loadu_si512(x + 2 * stride),
                                                  _mm512_loadu_si512(x + 3 * stride), kPick);
        groups[i][j][0] = _mm512_shuffle_i32x4(front, back, 0x88);
        groups[i][j][1] = _mm512_shuffle_i32x4(front, back, 0xDD);
      }
    }
#pragma GCC unroll 2
    for (size_t g = 0; g < 2; ++g) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kBlockVectors; ++v) {
        __m512i b[2][2];
        for (size_t i = 0; i < 2; ++i) {
          for (size_t j = 0; j < 2; ++j) {
            const __m512i x = groups[i][j][g];
            b[i][j] = v == 0 ? SignedInt4::LowInt4(x) : SignedInt4::HighInt4(x);
          }
        }
        AddVector(b, b11 + g * kStepBytes + v * kVectorBytes, bytes);
      }
    }
  }

  static PQV_INLINE void AddVector(const __m512i (&b)[2][2], uint8_t* b11, size_t bytes) {
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < 2; ++j) {
        _mm512_store_si512(b11 + kStrassenB[i][j] * bytes, b[i][j]);
      }
    }
    const __m512i t1 = _mm512_sub_epi8(b[0][1], b[0][0]);
    const __m512i t2 = _mm512_sub_epi8(b[1][1], t1);
    const __m512i t3 = _mm512_sub_epi8(b[1][1], b[0][1]);
    const __m512i x[] = {t2, t3, _mm512_sub_epi8(b[1][0], t2), t1};
    for (size_t f = 0; f < 4; ++f) _mm512_store_si512(b11 + (2 + f) * bytes, x[f]);
  }

  uint8_t* const factors_;
  size_t bytes_ = 0;
};

// Rows that are whole tiles of Strassen's product.
static inline size_t FastRows(const PackedMatMulBlock& block) {
  return block.prepared_rows - block.prepared_rows % kFastRows;
}

// 64 channels from n on of rows row .. row_end - 1: those that are prepared by Strassen's product.
class FastPanel {
 public:
  FastPanel(const PackedMatMul& op, const PackedMatMulBlock& block, size_t row, size_t row_end,
            size_t n, int8_t* y)
      : op_(op),
        block_(block),
        row_(row),
        fast_end_(Min(row_end, FastRows(block))),
        row_end_(row_end),
        n_(n),
        y_(y + n),
        epilogues_{{op, block, n, y}, {op, block, n + kBlockChannels, y}},
        factors_(block.scratch),
        rest_(block.scratch + ChannelFactors::Bytes(op.k)),
        sums_(reinterpret_cast<int32_t*>(rest_ + kFastRows * FastPass(op.k))) {}

  static size_t ScratchBytes(size_t k) {
    return ChannelFactors::Bytes(k) + kFastRows * FastPass(k) +
           kFastBlockRows * kFastChannels * sizeof(int32_t);
  }

  void Run() {
    const size_t tiles = (fast_end_ - row_) / kFastRows;  // which alone ask for the next weights
    const size_t steps = tiles * kStrassenProducts * op_.k / 2 / kGroup;
    tile_.next = {op_, 4, n_ + kFastChannels, kFastChannels, steps > 0 ? steps : 1};
    ToInt8<2 * kBlockVectors>::PrefetchChannels(op_, n_ + kFastChannels);
    const size_t pass = FastPass(op_.k);
    const bool is_one_pass = pass >= op_.k;
    for (size_t k = 0; k < op_.k; k += pass) {
      half_ = Min(op_.k - k, pass) / 2;
      is_last_ = k + 2 * half_ == op_.k;
      tile_.groups = half_ / kGroup;
      factors_.Make(op_, n_, k, half_);
      const bool ends = is_one_pass && epilogues_[0].fits_shifted() && epilogues_[1].fits_shifted();
      if (ends) BeginOutput();
      for (size_t row = row_; row < fast_end_; row += kFastRows) {
        for (size_t r = 0; r < kFastRows && is_last_; ++r) epilogues_[0].Prefetch(row + r);
        const uint8_t* const a =
            block_.prepared + row / kFastRows * RowFactorBytes(op_.k) + RowFactorBytes(k);
        if (!ends || !RunOutput(a, row)) RunSums(a, row, k);
      }
      if (fast_end_ < row_end_) RunRest(k);
    }
  }

 private:
  void BeginOutput() {
    const bool is_left =
        epilogues_[0].shifts() == Shifts::kLeft && epilogues_[1].shifts() == Shifts::kLeft;
    const Shifts shifts = is_left ? Shifts::kLeft : Shifts::kBoth;
    find_output_ = kFastOutput[static_cast<size_t>(shifts)][op_.residual_multiplier != nullptr];
    SetOutput<TileOrder<kBlockVectors>>(op_, block_, &tile_);
    for (size_t j = 0; j < 2; ++j) {
      const size_t n = n_ + j * kBlockChannels;
      SetChannels<TileOrder<kBlockVectors>>(op_, n, shifts, j, &tile_);
      const __m512i* const first = epilogues_[j].First();
      for (size_t kind = j; kind < kFastSums; kind += 2) {
        __m512i x[kBlockVectors];
        Correction(kind, x);
        for (size_t v = 0; v < kBlockVectors; ++v) {
          _mm512_store_si512(tile_.bias[kind][v], _mm512_add_epi32(first[v], x[v]));
        }
      }
    }
  }

  // Not where the rows of the residual are not one after the other.
  bool RunOutput(const uint8_t* a, size_t row) {
    const bool has_residual = op_.residual_multiplier != nullptr;
    const size_t source = has_residual ? row % block_.residual_rows : 0;
    if (has_residual && source + kFastRows > block_.residual_rows) return false;
    for (size_t kind = 0; kind < 4; ++kind) {
      const size_t r = kind / 2 * kBlockRows;
      const size_t channel = kind % 2 * kBlockChannels;
      tile_.rows.y[kind] = y_ + (row + r) * block_.y_stride + channel;
      if (!has_residual) continue;
      tile_.rows.residual[kind] =
          block_.residual + n_ + (source + r) * block_.residual_stride + channel;
    }
    find_output_(a, factors_[0], &tile_);
    return true;
  }

  // What takes the offsets off sums of FastSums `kind`.
  void Correction(size_t kind, __m512i* x) const {
    const __m512i offset = _mm512_set1_epi32(kind < kC21 ? -kUpperOffset : -kLowerOffset);
    LoadTileOrder32<kBlockVectors>(op_.weight_sums + n_ + kind % 2 * kBlockChannels, x);
    for (size_t v = 0; v < kBlockVectors; ++v) x[v] = _mm512_mullo_epi32(x[v], offset);
  }

  // Where the sums of a row are, which are kept from pass to pass.
  int32_t* Sums(size_t row) { return sums_ + (row - row_) * kFastChannels; }

  void RunSums(const uint8_t* a, size_t row, size_t k) {
    FindFastSums(a, factors_[0], &tile_);
    for (size_t kind = 0; kind < kFastSums; ++kind) {
      __m512i correction[kBlockVectors] = {};
      if (k == 0) Correction(kind, correction);
      const size_t first = kind / 2 * kBlockRows;
      const size_t c = kind % 2 * kBlockChannels;
      for (size_t r = first; r < first + kBlockRows; ++r) {
        for (size_t v = 0; v < kBlockVectors; ++v) {
          int32_t* const sum = Sums(row + r) + c + v * kLanes32;
          const __m512i before = k > 0 ? _mm512_load_si512(sum) : correction[v];
          const __m512i x = _mm512_load_si512(tile_.sums[r] + c + v * kLanes32);
          _mm512_store_si512(sum, _mm512_add_epi32(before, x));
        }
      }
    }
    if (is_last_) Store(row, kFastRows);
  }

  // Of any values.
  PQV_INLINE void RunRest(size_t k) {
    const size_t rows = row_end_ - fast_end_;
    MakeUnsigned(block_.a + fast_end_ * block_.a_stride + k, block_.a_stride, rows, 2 * half_,
                 rest_);
    for (size_t j = 0; j < 2; ++j) {
      for (size_t i = 0; i < 2; ++i) MultiplyRest(k == 0 && i == 0, rows, i, j);
    }
    if (is_last_) Store(fast_end_, rows);
  }

  PQV_INLINE void MultiplyRest(bool is_first, size_t rows, size_t i, size_t j) {
    int32_t* const sums = Sums(fast_end_) + j * kBlockChannels;
    __m512i first[kBlockVectors];
    LoadTileOrder32<kBlockVectors>(op_.weight_sums + n_ + j * kBlockChannels, first);
    for (__m512i& x : first) x = OffsetOf(x);
    const auto begin = [&](size_t r, __m512i* x) PQV_LAMBDA {
      for (size_t v = 0; v < kBlockVectors; ++v) {
        x[v] = is_first ? first[v] : _mm512_load_si512(sums + r * kFastChannels + v * kLanes32);
      }
    };
    const auto end = [&](size_t r, const __m512i* x) PQV_LAMBDA {
      for (size_t v = 0; v < kBlockVectors; ++v) {
        _mm512_store_si512(sums + r * kFastChannels + v * kLanes32, x[v]);
      }
    };
    PaddedRows source(rest_ + i * half_, 2 * half_, half_);
    const StepPanel<kBlockVectors> panel = {factors_[kStrassenB[i][j]]};
    RunRows<PanelSign::kSigned, kBlockVectors>(&source, rows, panel, half_ / kGroup, begin, end);
  }

  void Store(size_t row, size_t rows) {
    for (size_t j = 0; j < 2; ++j) {
      for (size_t r = row; r < row + rows; ++r) {
        const int32_t* const sums = Sums(r) + j * kBlockChannels;
        __m512i x[kBlockVectors];
        for (size_t v = 0; v < kBlockVectors; ++v) x[v] = _mm512_load_si512(sums + v * kLanes32);
        epilogues_[j].Store(r, x);
      }
    }
  }

  const PackedMatMul& op_;
  const PackedMatMulBlock& block_;
  const size_t row_, fast_end_, row_end_;
  const size_t n_;
  int8_t* const y_;
  const ToInt8<kBlockVectors> epilogues_[2];
  size_t half_ = 0;  // of the K of a pass
  bool is_last_ = false;
  ChannelFactors factors_;
  AssemblyTile tile_;
  FastOutput find_output_ = nullptr;
  uint8_t* const rest_;
  int32_t* const sums_;
};

}  // namespace avx512
}  // namespace pqv

#endif  // PQV_KERNELS_PACKED_MATMUL_STRASSEN_AVX512VNNI_H_
