#include "kernels/common/fixed_point_neon.h"
#include "kernels/softmax2n/softmax2n.h"

namespace pqv {
namespace neon {
namespace {

using namespace arm64;

constexpr size_t kStep = 16;  // places

// 16 int32 of a row.
struct Logits {
  int32x4_t part[4];
};

PQV_INLINE Logits Load(const int32_t* x) {
  return {{vld1q_s32(x), vld1q_s32(x + 4), vld1q_s32(x + 8), vld1q_s32(x + 12)}};
}

// The first `count`, then copies of the first one; reads nothing beyond them. 0 < count < 16.
Logits LoadFew(const int32_t* x, size_t count) {
  int32_t values[kStep];
  for (int32_t& value : values) value = *x;
  memcpy(values, x, count * sizeof(int32_t));
  return Load(values);
}

struct Int16x16 {
  int16x8_t low;
  int16x8_t high;
};

PQV_INLINE Int16x16 Requantize(const Requantizer& r, const Logits& x) {
  return {Requantize16(r, x.part[0], x.part[1]), Requantize16(r, x.part[2], x.part[3])};
}

// Distances are int16 differences read as uint16.
PQV_INLINE uint16x8_t Distance(int16x8_t max, int16x8_t z) {
  return vreinterpretq_u16_s16(vsubq_s16(max, z));
}

// The largest code, saturated to 255, has the power 0 like those beyond the table.
PQV_INLINE uint8x16_t PowersOfTwo(uint16x8_t low, uint16x8_t high) {
  const uint8x16_t powers = {128, 64, 32, 16, 8, 4, 2, 1};
  return vqtbl1q_u8(powers, vqrshrn_high_n_u16(vqrshrn_n_u16(low, 8), high, 8));
}

// mul_q15(T, 256 >> whole) is T shifted right by 7 + whole with rounding, which gives 0 from 9 on.
PQV_INLINE uint16x8_t Uniform(uint16x8_t distance) {
  // Far beyond 9 already; URSHL takes shifts of -128 at least.
  distance = vminq_u16(distance, vdupq_n_u16(0x3FFF));
  const int16x8_t x =
      vreinterpretq_s16_u16(vandq_u16(vshlq_n_u16(distance, 7), vdupq_n_u16(0x7FFF)));
  const int16x8_t curve = vqrdmulhq_s16(x, vdupq_n_s16(kSoftmaxCurve));
  const int16x8_t slope = vsubq_s16(vdupq_n_s16(kSoftmaxSlope), curve);
  const int16x8_t fraction = vsubq_s16(vdupq_n_s16(kSoftmaxOne), vqrdmulhq_s16(x, slope));
  const int16x8_t whole = vreinterpretq_s16_u16(vshrq_n_u16(distance, 8));
  return vrshlq_u16(vreinterpretq_u16_s16(fraction), vsubq_s16(vdupq_n_s16(-7), whole));
}

template <bool kLog2>
PQV_INLINE uint8x16_t Weights(int16x8_t max, Int16x16 z) {
  const uint16x8_t low = Distance(max, z.low);
  const uint16x8_t high = Distance(max, z.high);
  if (kLog2) return PowersOfTwo(low, high);
  // Even bytes, and the odd ones are zero.
  return vuzp1q_u8(vreinterpretq_u8_u16(Uniform(low)), vreinterpretq_u8_u16(Uniform(high)));
}

PQV_INLINE int32x4_t Max(const Logits& x) {
  return vmaxq_s32(vmaxq_s32(x.part[0], x.part[1]), vmaxq_s32(x.part[2], x.part[3]));
}

// Runs run(i) for steps of 16 places that cover a row of 16 or more; the last one may overlap those
// before it. Two at a time, for fewer instructions.
template <typename Run>
PQV_INLINE void ForEachStep(size_t n, const Run& run) {
  size_t i = 0;
  for (; i + 2 * kStep < n; i += 2 * kStep) {
    run(i);
    run(i + kStep);
  }
  if (i + kStep < n) run(i);
  run(n - kStep);
}

PQV_INLINE int32x4_t RowMax(const int32_t* x, size_t n) {
  int32x4_t max = vdupq_n_s32(INT32_MIN);
  ForEachStep(n, [&](size_t i) { max = vmaxq_s32(max, Max(Load(x + i))); });
  return vdupq_n_s32(vmaxvq_s32(max));
}

template <bool kLog2>
void RunRows(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y) {
  const Requantizer requantizer = UniformRequantizer(op.shift, op.multiplier);
  for (size_t row = 0; row < rows; ++row, x += n, y += n) {
    // requantize never falls, so the largest input has the largest z.
    const int32x4_t max = RowMax(x, n);
    const int16x8_t max_z = Requantize16(requantizer, max, max);
    ForEachStep(n, [&](size_t i) {
      vst1q_u8(y + i, Weights<kLog2>(max_z, Requantize(requantizer, Load(x + i))));
    });
  }
}

template <bool kLog2>
void RunShortRows(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y) {
  const Requantizer requantizer = UniformRequantizer(op.shift, op.multiplier);
  for (size_t row = 0; row < rows; ++row, x += n, y += n) {
    const Logits logits = LoadFew(x, n);
    const int32x4_t max = vdupq_n_s32(vmaxvq_s32(Max(logits)));
    const int16x8_t max_z = Requantize16(requantizer, max, max);
    StorePartial8(y, Weights<kLog2>(max_z, Requantize(requantizer, logits)), n);
  }
}

// What a row is made of, from some place on.
struct BiasedRow {
  const int32_t* x;
  const int16_t* bias;
  const uint8_t* mask;
};

struct Biased {
  Int16x16 z;
  uint8x16_t kept;  // all ones, or zero where excluded
};

PQV_INLINE int16x8_t Keep(int16x8_t z, int8x8_t kept) {
  const uint16x8_t mask = vreinterpretq_u16_s16(vmovl_s8(kept));
  return vbslq_s16(mask, z, vdupq_n_s16(INT16_MIN));
}

// z of 16 places, the smallest one where excluded: it leaves the maximum alone.
PQV_INLINE Biased LoadBiased(const Requantizer& requantizer, const BiasedRow& row, size_t i) {
  const Int16x16 z = Requantize(requantizer, Load(row.x + i));
  const uint8x16_t kept = vceqzq_u8(vld1q_u8(row.mask + i));
  const int8x16_t wide = vreinterpretq_s8_u8(kept);
  return {{Keep(vqaddq_s16(z.low, vld1q_s16(row.bias + i)), vget_low_s8(wide)),
           Keep(vqaddq_s16(z.high, vld1q_s16(row.bias + i + 8)), vget_high_s8(wide))},
          kept};
}

PQV_INLINE int16x8_t Max(const Biased& x) { return vmaxq_s16(x.z.low, x.z.high); }

template <bool kLog2>
PQV_INLINE uint8x16_t Weights(int16x8_t max, const Biased& x) {
  return vandq_u8(Weights<kLog2>(max, x.z), x.kept);
}

template <bool kLog2>
void RunBiasRow(Requantizer requantizer, BiasedRow row, size_t n, uint8_t* y) {
  int16x8_t max = vdupq_n_s16(INT16_MIN);
  ForEachStep(n, [&](size_t i) { max = vmaxq_s16(max, Max(LoadBiased(requantizer, row, i))); });
  max = vdupq_n_s16(vmaxvq_s16(max));
  ForEachStep(
      n, [&](size_t i) { vst1q_u8(y + i, Weights<kLog2>(max, LoadBiased(requantizer, row, i))); });
}

// A row of fewer than 16 places, by way of one of 16 whose others are excluded.
template <bool kLog2>
void RunShortBiasRow(Requantizer requantizer, BiasedRow row, size_t n, uint8_t* y) {
  int32_t x[kStep] = {};
  int16_t bias[kStep] = {};
  uint8_t mask[kStep];
  memcpy(x, row.x, n * sizeof(int32_t));
  memcpy(bias, row.bias, n * sizeof(int16_t));
  memset(mask, 1, sizeof(mask));
  memcpy(mask, row.mask, n);
  const Biased z = LoadBiased(requantizer, {x, bias, mask}, 0);
  StorePartial8(y, Weights<kLog2>(vdupq_n_s16(vmaxvq_s16(Max(z))), z), n);
}

}  // namespace

void RunSoftmax2n(const Softmax2n& op, const int32_t* x, size_t rows, size_t n, uint8_t* y) {
  const auto run = n < kStep ? (op.log2 ? RunShortRows<true> : RunShortRows<false>)
                             : (op.log2 ? RunRows<true> : RunRows<false>);
  run(op, x, rows, n, y);
}

void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y) {
  const Requantizer requantizer = UniformRequantizer(op.shift, op.multiplier);
  const auto run_row = n < kStep ? (op.log2 ? RunShortBiasRow<true> : RunShortBiasRow<false>)
                                 : (op.log2 ? RunBiasRow<true> : RunBiasRow<false>);
  for (size_t offset = 0; offset < rows * n; offset += n) {
    run_row(requantizer, {x + offset, bias + offset, mask + offset}, n, y + offset);
  }
}

}  // namespace neon
}  // namespace pqv
