// Tiles of int8 matrix products, for files built with -mavx2: a few rows by panels of 8 channels in
// the form of packed weights, where byte 4 * c + j of the 32 of group g is k = 4 * g + j of channel
// c.
//
// Two products of int8 saturate in vpmaddubsw. Wide tiles take both sides through vpmaddwd as
// int16: exact for all int8 and uint8, two vector instructions per 16 products. Tiles of bytes
// multiply unsigned by signed ones. How, a `Dot` says: by vpmaddubsw, two instructions per 32
// products, where one side is so small that sums of several products fit in int16; or, where there
// is vpdpbusd (tile_avxvnni.h), by that.

#ifndef PQV_KERNELS_GEMM_TILE_AVX2_H_
#define PQV_KERNELS_GEMM_TILE_AVX2_H_

#include "kernels/common/arithmetic_avx2.h"

namespace pqv {
namespace avx2 {

constexpr size_t kTileChannels = 8;
constexpr size_t kTileGroup = 4;                           // k
constexpr size_t kTileBytes = kTileChannels * kTileGroup;  // of a group of a panel
constexpr size_t kWideRows = 6;  // 12 sums, 2 weights, 1 activation, 1 product: all registers

static PQV_INLINE size_t Groups(size_t k) { return CeilDivide(k, kTileGroup); }

// function(0) ... function(kRows - 1). Unlike those of a loop, the indices are constants before
// compilers decide whether an array can live in registers.
template <size_t kRows, typename Function>
static PQV_INLINE void ForRows(const Function& function) {
  if constexpr (kRows > 1) ForRows<kRows - 1>(function);
  function(kRows - 1);
}

// Compilers would gather products until they run out of registers, or copy sums from one register
// to another: they may move neither of these instructions.
static PQV_INLINE void Add32InPlace(__m256i product, __m256i* sum) {
  __asm__ volatile("vpaddd %1, %0, %0" : "+x"(*sum) : "x"(product));
}

static PQV_INLINE void Add16InPlace(__m256i product, __m256i* sum) {
  __asm__ volatile("vpaddw %1, %0, %0" : "+x"(*sum) : "x"(product));
}

static PQV_INLINE __m256i Load32Bytes(const void* x) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(x));
}

// The 4 k of a row in each lane of 32 bits.
static PQV_INLINE __m256i BroadcastGroup(const void* group) {
  int32_t x;
  memcpy(&x, group, sizeof(x));
  return _mm256_set1_epi32(x);
}

// function(Count<kRows>, 0, whole tiles), and for the rows that are left function(Count<left>,
// first of them, 1). Each Count is a function of its own for compilers.
template <size_t kRows, typename Function>
static PQV_INLINE void ForTiles(size_t rows, const Function& function) {
  const size_t left = rows % kRows;
  function(Count<kRows>(), 0, rows / kRows);
  if (left == 0) return;
  WithCount<kRows - 1>(left, [&](auto count) { function(count, rows - left, 1); });
}

// kCount rows of activations widened to int16, zero up to a multiple of 4 k.
template <size_t kCount, size_t kMaxK>
struct WideRows {
  static_assert(kMaxK % kTileGroup == 0, "a step takes a whole group");
  // A cache line more than needed keeps the rows from competing for the same cache set.
  static constexpr size_t kStride = kMaxK + 32;
  alignas(32) int16_t data[kCount][kStride];
};

static PQV_INLINE __m256i Widen8(const int8_t* x) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

static PQV_INLINE __m256i Widen8(const uint8_t* x) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

// Widens `rows` rows of `k` elements. rows <= kCount, k <= kMaxK.
template <size_t kCount, size_t kMaxK, typename T>
static inline void WidenRows(const T* a, size_t stride, size_t rows, size_t k,
                             WideRows<kCount, kMaxK>* wide) {
  for (size_t r = 0; r < rows; ++r) {
    const T* source = a + r * stride;
    int16_t* target = wide->data[r];
    size_t i = 0;
    for (; i + 16 <= k; i += 16) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(target + i), Widen8(source + i));
    }
    for (; i < k; ++i) target[i] = source[i];
    for (; i % kTileGroup != 0; ++i) target[i] = 0;
  }
}

// The chunk of a block's rows that was widened last: blocks of channels in turn share it.
template <size_t kCount, size_t kMaxK>
class WidenedChunk {
 public:
  // `count` elements from k on, of rows that are the same in every call.
  template <typename T>
  const WideRows<kCount, kMaxK>& At(const T* a, size_t stride, size_t rows, size_t k,
                                    size_t count) {
    if (k != k_) WidenRows(a + k, stride, rows, count, &rows_);
    k_ = k;
    return rows_;
  }

 private:
  static constexpr size_t kNone = ~size_t{0};

  WideRows<kCount, kMaxK> rows_;
  size_t k_ = kNone;
};

// That of a block, or nothing where bytes are multiplied as they are.
template <typename Dot, size_t kCount, size_t kMaxK, bool kTakesAll = Dot::kTakesAll>
struct Widened : WidenedChunk<kCount, kMaxK> {};
template <typename Dot, size_t kCount, size_t kMaxK>
struct Widened<Dot, kCount, kMaxK, true> {};

// Where the sums of 16 channels go, and what they begin with. Strides are from row to row.
struct TileSums {
  int32_t* data;
  size_t stride;
  const int32_t* start;  // may be data
  size_t start_stride;
};

alignas(32) static constexpr int32_t kZeroSums[kLanes] = {};

static PQV_INLINE TileSums FromZero(int32_t* data, size_t stride) {
  return {data, stride, kZeroSums, 0};
}

static PQV_INLINE TileSums GoOn(int32_t* data, size_t stride) {
  return {data, stride, data, stride};
}

static PQV_INLINE TileSums Move(const TileSums& sums, size_t rows, size_t channels) {
  return {sums.data + rows * sums.stride + channels, sums.stride,
          sums.start + rows * sums.start_stride + channels, sums.start_stride};
}

static PQV_INLINE void Store(const TileSums& sums, size_t row, size_t channel, __m256i x) {
  const __m256i start = Load32Bytes(sums.start + row * sums.start_stride + channel);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums.data + row * sums.stride + channel),
                      _mm256_add_epi32(x, start));
}

// sum over k < 4 * groups of a[r][k] * panel[k / 4][c][k % 4], for the 8 channels of a panel.
// A function of its own: it needs all registers.
template <size_t kRows>
static __attribute__((noinline)) void MultiplyWide(const int16_t* a, size_t stride,
                                                   const int8_t* panel, size_t groups,
                                                   const TileSums& sums) {
  __m256i low[kRows];   // channels 0 .. 3, two sums each
  __m256i high[kRows];  // channels 4 .. 7
  ForRows<kRows>([&](size_t r) PQV_LAMBDA { low[r] = high[r] = _mm256_setzero_si256(); });
  for (size_t g = 0; g < groups; ++g) {
    const __m256i w_low = Widen8(panel + g * kTileBytes);
    const __m256i w_high = Widen8(panel + g * kTileBytes + kTileBytes / 2);
    ForRows<kRows>([&](size_t r) PQV_LAMBDA {
      int64_t group;
      memcpy(&group, a + r * stride + g * kTileGroup, sizeof(group));
      const __m256i x = _mm256_set1_epi64x(group);
      Add32InPlace(_mm256_madd_epi16(x, w_low), &low[r]);
      Add32InPlace(_mm256_madd_epi16(x, w_high), &high[r]);
    });
  }
  ForRows<kRows>([&](size_t r) PQV_LAMBDA {
    const __m256i pairs = _mm256_hadd_epi32(low[r], high[r]);  // channels 0, 1, 4, 5, 2, 3, 6, 7
    Store(sums, r, 0, _mm256_permute4x64_epi64(pairs, 0xD8));
  });
}

// The same for 1 <= rows <= kWideRows rows.
static inline void MultiplyWideTile(const int16_t* a, size_t stride, size_t rows,
                                    const int8_t* panel, size_t groups, const TileSums& sums) {
  WithCount<kWideRows>(rows, [&](auto count) {
    MultiplyWide<decltype(count)::kValue>(a, stride, panel, groups, sums);
  });
}

// Any number of rows by two panels `panel_bytes` apart.
template <size_t kCount, size_t kMaxK>
static inline void MultiplyWideRows(const WideRows<kCount, kMaxK>& wide, size_t rows,
                                    const int8_t* panels, size_t panel_bytes, size_t groups,
                                    const TileSums& sums) {
  for (size_t r = 0; r < rows; r += kWideRows) {
    for (size_t half = 0; half < 2; ++half) {
      MultiplyWideTile(wide.data[r], wide.kStride, Min(rows - r, kWideRows),
                       panels + half * panel_bytes, groups, Move(sums, r, half * kTileChannels));
    }
  }
}

// Sums of 16 bits, two per channel. Like each `Dot` in an unnamed namespace: so is then, for the
// linker, what is made of templates with it.
namespace {
struct Maddubs {
  static constexpr bool kTakesAll = false;  // 8 bits on both sides
  static constexpr size_t kRows = 4;        // 8 sums; more are not faster
  static constexpr size_t kBlockRows = 60;  // what is packed for them is used for so many rows

  static PQV_INLINE void Add(__m256i x, __m256i signed_x, __m256i* sum) {
    Add16InPlace(_mm256_maddubs_epi16(x, signed_x), sum);
  }

  static PQV_INLINE __m256i Sums(__m256i x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }

  // How many groups may be added up, if no element of a row is beyond `a_limit` and none of a panel
  // beyond `b_limit`: each adds two products to a sum.
  static PQV_INLINE size_t Groups(size_t a_limit, size_t b_limit) {
    const size_t most = 2 * a_limit * b_limit;
    return most > 0 ? INT16_MAX / most : INT16_MAX;
  }
};
}  // namespace

// The same for `tiles` times kRows rows of bytes and two panels `panel_bytes` apart, 16 channels:
// one side is unsigned, the rows if kUnsignedRows, else the panels. `limit` is that of Dot::Groups,
// at least 1.
template <typename Dot, bool kUnsignedRows, size_t kRows>
static __attribute__((noinline)) void MultiplyTiles(const int8_t* a, size_t stride, size_t tiles,
                                                    const uint8_t* panels, size_t panel_bytes,
                                                    size_t groups, size_t limit,
                                                    const TileSums& sums) {
  const auto add = [](__m256i x, __m256i w, __m256i* sum)
                       PQV_LAMBDA { kUnsignedRows ? Dot::Add(x, w, sum) : Dot::Add(w, x, sum); };
  for (size_t row = 0; row < tiles * kRows; row += kRows, a += kRows * stride) {
    TileSums tile = Move(sums, row, 0);
    size_t g = 0;
    do {
      const size_t end = Min(groups, g + limit);
      __m256i low[kRows];   // of the first panel
      __m256i high[kRows];  // of the second
      ForRows<kRows>([&](size_t r) PQV_LAMBDA { low[r] = high[r] = _mm256_setzero_si256(); });
      for (; g < end; ++g) {
        const __m256i w_low = Load32Bytes(panels + g * kTileBytes);
        const __m256i w_high = Load32Bytes(panels + panel_bytes + g * kTileBytes);
        ForRows<kRows>([&](size_t r) PQV_LAMBDA {
          const __m256i x = BroadcastGroup(a + r * stride + g * kTileGroup);
          add(x, w_low, &low[r]);
          add(x, w_high, &high[r]);
        });
      }
      ForRows<kRows>([&](size_t r) PQV_LAMBDA {
        Store(tile, r, 0, Dot::Sums(low[r]));
        Store(tile, r, kTileChannels, Dot::Sums(high[r]));
      });
      tile = GoOn(tile.data, tile.stride);
    } while (g < groups);
  }
}

// The same for any number of rows.
template <typename Dot, bool kUnsignedRows>
static inline void MultiplyGroups(const int8_t* a, size_t stride, size_t rows,
                                  const uint8_t* panels, size_t panel_bytes, size_t groups,
                                  size_t limit, const TileSums& sums) {
  ForTiles<Dot::kRows>(rows, [&](auto count, size_t first, size_t tiles) {
    MultiplyTiles<Dot, kUnsignedRows, decltype(count)::kValue>(a + first * stride, stride, tiles,
                                                               panels, panel_bytes, groups, limit,
                                                               Move(sums, first, 0));
  });
}

// Whether all of `count` bytes are int4; count is a multiple of 32.
static inline bool IsInt4(const int8_t* x, size_t count) {
  __m256i largest = _mm256_setzero_si256();
  for (size_t i = 0; i < count; i += 32) {
    const __m256i unsigned_if_int4 = _mm256_add_epi8(Load32Bytes(x + i), _mm256_set1_epi8(8));
    largest = _mm256_max_epu8(largest, unsigned_if_int4);
  }
  return Max8(largest) <= 15;
}

// What tiles of bytes need to know of their rows, kCount or fewer.
template <size_t kCount>
struct ByteRows {
  size_t largest;                   // magnitude
  int32_t sum[kCount];              // of all k
  int8_t tail[kCount][kTileGroup];  // k beyond the last whole group, zero-padded
};

// Rows of int8.
template <size_t kCount>
static inline void InspectRows(const int8_t* a, size_t stride, size_t rows, size_t k,
                               ByteRows<kCount>* found) {
  constexpr size_t kStep = 32;
  const __m256i sign = _mm256_set1_epi8(INT8_MIN);  // makes int8 unsigned: 128 more
  const size_t steps = CeilDivide(k, kStep);
  __m256i largest = _mm256_setzero_si256();
  for (size_t r = 0; r < rows; ++r, a += stride) {
    __m256i sums = _mm256_setzero_si256();  // 64-bit lanes whose upper halves stay zero
    const auto add = [&](__m256i x) PQV_LAMBDA {
      const __m256i sad = _mm256_sad_epu8(_mm256_xor_si256(x, sign), _mm256_setzero_si256());
      sums = _mm256_add_epi64(sums, sad);
      largest = _mm256_max_epu8(largest, _mm256_abs_epi8(x));
    };
    for (size_t i = 0; i + kStep <= k; i += kStep) add(Load32Bytes(a + i));
    if (k % kStep != 0) {
      alignas(32) int8_t last[kStep] = {};
      memcpy(last, a + k / kStep * kStep, k % kStep);
      add(Load32Bytes(last));
    }
    found->sum[r] = Sum32(sums) - static_cast<int32_t>(steps * kStep * 128);
    memset(found->tail[r], 0, kTileGroup);
    memcpy(found->tail[r], a + k / kTileGroup * kTileGroup, k % kTileGroup);
  }
  found->largest = Max8(largest);
}

// What the sums of rows by panels that are `offset` too large begin with.
template <size_t kCount>
static inline void OffsetRows(const ByteRows<kCount>& found, size_t rows, int offset,
                              int32_t (*start)[kLanes]) {
  for (size_t r = 0; r < rows; ++r) {
    const __m256i x = _mm256_set1_epi32(-offset * found.sum[r]);
    Store32(start[r], {x, x});
  }
}

// Rows by `k` of two panels.
template <typename Dot, bool kUnsignedRows, size_t kCount>
static inline void MultiplyRows(const int8_t* a, size_t stride, const ByteRows<kCount>& found,
                                size_t rows, const uint8_t* panels, size_t panel_bytes, size_t k,
                                size_t limit, TileSums sums) {
  const size_t groups = k / kTileGroup;
  if (groups > 0 || k == 0) {
    MultiplyGroups<Dot, kUnsignedRows>(a, stride, rows, panels, panel_bytes, groups, limit, sums);
    sums = GoOn(sums.data, sums.stride);
  }
  if (k % kTileGroup != 0) {
    MultiplyGroups<Dot, kUnsignedRows>(found.tail[0], kTileGroup, rows,
                                       panels + groups * kTileBytes, panel_bytes, 1, 1, sums);
  }
}

}  // namespace avx2
}  // namespace pqv

#endif  // PQV_KERNELS_GEMM_TILE_AVX2_H_
