// Instructions of 4-bit matrix products by other multiplications of ARMv8 than the library's.
//
//   multipliers
//
// Computes an output tile of 8 rows by 8 channels over kDepth codes in each of three ways, each in
// a region of block_count.c, prints "NAME<tab>MULTIPLY-ACCUMULATES" for it, and compares it with
// plain products, for random codes and for the extreme ones. Packing is outside of the regions.

#include <arm_neon.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

namespace {

constexpr int kRows = 8;
constexpr int kChannels = 8;
constexpr int kDepth = 192;  // of DeiT-T
constexpr int kOffset = 8;   // makes codes of [-8, 7] unsigned

struct Codes {
  int8_t a[kRows][kDepth];
  int8_t b[kDepth][kChannels];
};

struct Output {
  int32_t y[kRows][kChannels];
};

// What PackQViT proposes: a lane of 16 bits holds the codes of two rows, one in each byte, and one
// multiplication by a weight gives both products, of at most 15 * 15.
struct Spliced {
  alignas(16) uint16_t a[kDepth][kRows / 2];
  alignas(16) uint16_t b[kDepth][kChannels];
  int32_t row_sums[kRows];
  int32_t channel_sums[kChannels];
};

void Pack(const Codes& codes, Spliced* packed) {
  for (int32_t& sum : packed->row_sums) sum = 0;
  for (int32_t& sum : packed->channel_sums) sum = 0;
  for (int k = 0; k < kDepth; ++k) {
    for (int r = 0; r < kRows; r += 2) {
      const int low = codes.a[r][k] + kOffset, high = codes.a[r + 1][k] + kOffset;
      packed->a[k][r / 2] = uint16_t(low | high << 8);
      packed->row_sums[r] += low;
      packed->row_sums[r + 1] += high;
    }
    for (int n = 0; n < kChannels; ++n) {
      packed->b[k][n] = uint16_t(codes.b[k][n] + kOffset);
      packed->channel_sums[n] += packed->b[k][n];
    }
  }
}

// The sum of spliced products mod 2^16 less 256 times that of the upper ones is that of the lower
// ones: kDepth * 225 fits in 16 bits.
__attribute__((noinline)) void Multiply(const Spliced& packed, Output* output) {
  static_assert(kDepth * 225 < 65536, "sums must fit in 16 bits");
  uint16x8_t both[kRows / 2], upper[kRows / 2];
  for (int r = 0; r < kRows / 2; ++r) both[r] = upper[r] = vdupq_n_u16(0);
  for (int k = 0; k < kDepth; ++k) {
    const uint16x8_t b = vld1q_u16(packed.b[k]);
    uint16x4_t a = vld1_u16(packed.a[k]);
    __asm__("" : "+w"(a));  // one load, where g++ would make one for each lane
    const uint16x8_t products[] = {vmulq_lane_u16(b, a, 0), vmulq_lane_u16(b, a, 1),
                                   vmulq_lane_u16(b, a, 2), vmulq_lane_u16(b, a, 3)};
    for (int r = 0; r < kRows / 2; ++r) {
      both[r] = vaddq_u16(both[r], products[r]);
      upper[r] = vsraq_n_u16(upper[r], products[r], 8);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const uint16x8_t high = upper[r / 2];
    const uint16x8_t sums = r % 2 ? high : vsubq_u16(both[r / 2], vshlq_n_u16(high, 8));
    uint16_t unsigned_sums[kChannels];
    vst1q_u16(unsigned_sums, sums);
    for (int n = 0; n < kChannels; ++n) {
      output->y[r][n] = unsigned_sums[n] - kOffset * (packed.row_sums[r] + packed.channel_sums[n]) +
                        kOffset * kOffset * kDepth;
    }
  }
}

template <int kLane>
void AddRow(int8x8_t a, int8x8_t b, int16x8_t* sums) {
  sums[kLane] = vmlal_s8(sums[kLane], b, vdup_lane_s8(a, kLane));
}

struct Sums {
  int32x4_t low, high;
};

template <int kLane>
void AddRow(int16x8_t a, int16x8_t b, Sums* sums) {
  sums[kLane].low = vmlal_laneq_s16(sums[kLane].low, vget_low_s16(b), a, kLane);
  sums[kLane].high = vmlal_high_laneq_s16(sums[kLane].high, b, a, kLane);
}

// One product of each row with each channel: a lane of `a` is a row.
template <typename Vector, typename Sum>
void AddRows(Vector a, Vector b, Sum* sums) {
  AddRow<0>(a, b, sums);
  AddRow<1>(a, b, sums);
  AddRow<2>(a, b, sums);
  AddRow<3>(a, b, sums);
  AddRow<4>(a, b, sums);
  AddRow<5>(a, b, sums);
  AddRow<6>(a, b, sums);
  AddRow<7>(a, b, sums);
}

// Codes as they are, each in an element of its own.
template <typename T>
struct Plain {
  alignas(16) T a[kDepth][kRows];
  alignas(16) T b[kDepth][kChannels];
};

template <typename T>
void Pack(const Codes& codes, Plain<T>* packed) {
  for (int k = 0; k < kDepth; ++k) {
    for (int r = 0; r < kRows; ++r) packed->a[k][r] = codes.a[r][k];
    for (int n = 0; n < kChannels; ++n) packed->b[k][n] = codes.b[k][n];
  }
}

// SMLAL of bytes: the products of 4-bit codes are summed in 16 bits.
using Bytes = Plain<int8_t>;

__attribute__((noinline)) void Multiply(const Bytes& packed, Output* output) {
  static_assert(kDepth * 64 < 32768, "sums must fit in 16 bits");
  int16x8_t sums[kRows];
  for (int16x8_t& sum : sums) sum = vdupq_n_s16(0);
  for (int k = 0; k < kDepth; ++k) {
    AddRows(vld1_s8(packed.a[k]), vld1_s8(packed.b[k]), sums);
  }
  for (int r = 0; r < kRows; ++r) {
    vst1q_s32(output->y[r], vmovl_s16(vget_low_s16(sums[r])));
    vst1q_s32(output->y[r] + 4, vmovl_high_s16(sums[r]));
  }
}

// SMLAL of 16-bit codes, summed in 32 bits: what codes of 8 bits take, and those of any depth.
using Words = Plain<int16_t>;

__attribute__((noinline)) void Multiply(const Words& packed, Output* output) {
  Sums sums[kRows];
  for (Sums& sum : sums) sum = {vdupq_n_s32(0), vdupq_n_s32(0)};
  for (int k = 0; k < kDepth; ++k) {
    AddRows(vld1q_s16(packed.a[k]), vld1q_s16(packed.b[k]), sums);
  }
  for (int r = 0; r < kRows; ++r) {
    vst1q_s32(output->y[r], sums[r].low);
    vst1q_s32(output->y[r] + 4, sums[r].high);
  }
}

template <typename Packed>
bool IsRight(const Codes& codes) {
  static Packed packed;
  Output output;
  Pack(codes, &packed);
  Multiply(packed, &output);
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kChannels; ++n) {
      int32_t sum = 0;
      for (int k = 0; k < kDepth; ++k) sum += codes.a[r][k] * codes.b[k][n];
      if (sum != output.y[r][n]) return false;
    }
  }
  return true;
}

template <typename Packed>
void Count(const char* name, const Codes& codes) {
  static Packed packed;
  Output output;
  Pack(codes, &packed);
  __asm__ volatile("hint #0x7e" ::: "memory");
  Multiply(packed, &output);
  __asm__ volatile("hint #0x7f" ::: "memory");
  printf("%s\t%d\n", name, kRows * kChannels * kDepth);
}

// Random ones, or those of one value each.
Codes MakeCodes(int a, int b, bool is_random) {
  Codes codes;
  for (auto& row : codes.a) {
    for (int8_t& code : row) code = int8_t(is_random ? rand() % 16 - 8 : a);
  }
  for (auto& row : codes.b) {
    for (int8_t& code : row) code = int8_t(is_random ? rand() % 16 - 8 : b);
  }
  return codes;
}

bool AllRight(const Codes& codes) {
  return IsRight<Spliced>(codes) && IsRight<Bytes>(codes) && IsRight<Words>(codes);
}

}  // namespace

int main() {
  bool right = true;
  for (int a = -8; a <= 7; a += 5) {
    for (int b = -8; b <= 7; b += 5) right &= AllRight(MakeCodes(a, b, false));
  }
  for (int i = 0; i < 20; ++i) right &= AllRight(MakeCodes(0, 0, true));
  const Codes codes = MakeCodes(0, 0, true);
  Count<Spliced>("spliced", codes);
  Count<Bytes>("SMLAL, 8 to 16 bits", codes);
  Count<Words>("SMLAL, 16 to 32 bits", codes);
  if (!right) fprintf(stderr, "products differ\n");
  return right ? 0 : 1;
}
