// When Strassen's product is taken, and that its factors are bytes: compiling it is the test.

#include "kernels/gemm/strassen.h"

namespace pqv {
namespace {

constexpr StrassenTile kTile = {8, 8, 16, 16, {{48, 2, 2}, {}}};

constexpr bool Pays(const StrassenTile& tile, size_t rows, size_t channels, size_t k) {
  return StrassenLevels(tile, rows, channels, k) > 0;
}

// The products of DeiT.
static_assert(Pays(kTile, 197, 576, 192), "");
static_assert(Pays(kTile, 197, 192, 768), "");
static_assert(Pays(kTile, 197, 768, 3072), "");
// Too shallow, too few rows or channels to share the sums, not in whole blocks of k.
static_assert(!Pays(kTile, 3136, 288, 96), "");
static_assert(!Pays(kTile, 16, 576, 192), "");
static_assert(!Pays(kTile, 197, 16, 192), "");
static_assert(!Pays(kTile, 15, 3072, 3072), "");
static_assert(!Pays(kTile, 3072, 15, 3072), "");
static_assert(!Pays(kTile, 197, 576, 192 + 16), "");
static_assert(!Pays(kTile, 197, 576, 0), "");
static_assert(!Pays(kTile, 0, 0, 192), "");
// Deeper is never worse.
static_assert(Pays(kTile, 40, 140, 256) && Pays(kTile, 40, 140, 1920), "");
// Without a number of products per instruction there is no such tile.
static_assert(!Pays(StrassenTile{}, 197, 576, 192), "");

// Two levels where they save more than they cost, of whole tiles and whole blocks twice as large.
constexpr StrassenTile kDeepTile = {8, 8, 16, 16, {{48, 2, 2}, {206, 10, 6}}};
static_assert(StrassenLevels(kDeepTile, 197, 3072, 768) == 2, "");
static_assert(StrassenLevels(kDeepTile, 197, 768, 192) == 1, "");
static_assert(StrassenLevels(kDeepTile, 197, 3072, 64) == 0, "");
static_assert(StrassenLevels(kDeepTile, 197, 31, 768) == 1, "");
static_assert(StrassenLevels(kDeepTile, 197, 3072, 768 + 32) == 1, "");
static_assert(StrassenLevels(kTile, 197, 3072, 768) == 1, "");
// 48 rows are three tiles of one level, but one and a half of two.
static_assert(StrassenLevels(kDeepTile, 48, 3072, 768) == 1, "");

// Every sum of the header, of the extreme codes of A, [-8, 7], and of B, [-7, 7], and the products.
struct Block {
  int x11, x12, x21, x22;
};

constexpr Block Corner(unsigned bits, int low, int high) {
  return {bits & 1 ? high : low, bits & 2 ? high : low, bits & 4 ? high : low,
          bits & 8 ? high : low};
}

constexpr bool IsByte(int x) { return x >= INT8_MIN && x <= INT8_MAX; }

constexpr bool IsExact(const Block& a, const Block& b) {
  const int s1 = a.x21 + a.x22, s2 = s1 - a.x11, s3 = a.x11 - a.x21, s4 = a.x12 - s2;
  const int t1 = b.x12 - b.x11, t2 = b.x22 - t1, t3 = b.x22 - b.x12, t4 = b.x21 - t2;
  const int p1 = a.x11 * b.x11, p2 = a.x12 * b.x21, p3 = s4 * b.x22, p4 = a.x22 * t4;
  const int p5 = s1 * t1, p6 = s2 * t2, p7 = s3 * t3;
  return IsByte(s1) && IsByte(s2) && IsByte(s3) && IsByte(s4) && IsByte(t1) && IsByte(t2) &&
         IsByte(t3) && IsByte(t4) && p1 + p2 == a.x11 * b.x11 + a.x12 * b.x21 &&
         p1 + p6 + p5 + p3 == a.x11 * b.x12 + a.x12 * b.x22 &&
         p1 + p6 + p7 + p4 == a.x21 * b.x11 + a.x22 * b.x21 &&
         p1 + p6 + p7 + p5 == a.x21 * b.x12 + a.x22 * b.x22;
}

constexpr bool AllExact() {
  for (unsigned a = 0; a < 16; ++a) {
    for (unsigned b = 0; b < 16; ++b) {
      if (!IsExact(Corner(a, -8, 7), Corner(b, -7, 7))) return false;
    }
  }
  return true;
}

static_assert(AllExact(), "");

// Of the four blocks, the coefficients of each factor, in the order of the products.
constexpr int kOfA[kStrassenProducts][4] = {{1, 0, 0, 0},  {0, 1, 0, 0}, {-1, 0, 1, 1},
                                            {1, 0, -1, 0}, {0, 0, 0, 1}, {0, 0, 1, 1},
                                            {1, 1, -1, -1}};
constexpr int kOfB[kStrassenProducts][4] = {{1, 0, 0, 0},  {0, 0, 1, 0},   {1, -1, 0, 1},
                                            {0, -1, 0, 1}, {-1, 1, 1, -1}, {-1, 1, 0, 0},
                                            {0, 0, 0, 1}};

// Whether factors of factors are bytes, of codes low .. high.
constexpr bool AreBytes(const int (&factors)[kStrassenProducts][4], int low, int high) {
  for (const auto& outer : factors) {
    for (const auto& inner : factors) {
      int least = 0, most = 0;
      for (int i : outer) {
        for (int j : inner) {
          least += i * j * (i * j > 0 ? low : high);
          most += i * j * (i * j > 0 ? high : low);
        }
      }
      if (!IsByte(least) || !IsByte(most)) return false;
    }
  }
  return true;
}

static_assert(AreBytes(kOfA, -8, 7) && AreBytes(kOfB, -7, 7), "");
static_assert(!AreBytes(kOfA, -9, 8), "what this finds");

}  // namespace
}  // namespace pqv
