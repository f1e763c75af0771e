#include "kernels/common/arithmetic_neon.h"
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

// Distances are in [0, 32766]. The largest codes have the power 0, being beyond the table.
PQV_INLINE uint8x16_t PowersOfTwo(uint16x8_t low, uint16x8_t high) {
  const uint8x16_t powers = {128, 64, 32, 16, 8, 4, 2, 1};
  return vqtbl1q_u8(powers, vrshrn_high_n_u16(vrshrn_n_u16(low, 8), high, 8));
}

// mul_q15(T, 256 >> whole) is T shifted right by 7 + whole with rounding, which gives 0 from 9 on.
// URSHL reads shifts modulo 256: beyond 128 to the right they are to the left, and give 0, too.
// `right` has the shifts in its lower bytes, the only ones that URSHL reads.
PQV_INLINE uint8x16_t Uniform(uint16x8_t x, int8x16_t right) {
  const int16x8_t t = vreinterpretq_s16_u16(x);
  const int16x8_t curve = vqrdmulhq_s16(t, vdupq_n_s16(kSoftmaxCurve));
  const int16x8_t slope = vsubq_s16(vdupq_n_s16(kSoftmaxSlope), curve);
  const int16x8_t fraction = vsubq_s16(vdupq_n_s16(kSoftmaxOne), vqrdmulhq_s16(t, slope));
  return vreinterpretq_u8_u16(
      vrshlq_u16(vreinterpretq_u16_s16(fraction), vreinterpretq_s16_s8(right)));
}

// The lower bytes of distances are fractions, the upper ones are whole.
PQV_INLINE uint8x16_t Uniform(uint16x8_t low, uint16x8_t high) {
  const uint8x16_t a = vreinterpretq_u8_u16(low);
  const uint8x16_t b = vreinterpretq_u8_u16(high);
  const uint8x16_t fraction = vuzp1q_u8(a, b);
  const int8x16_t right = vsubq_s8(vdupq_n_s8(-7), vreinterpretq_s8_u8(vtrn2q_u8(a, b)));
  const int8x16_t right_high = vreinterpretq_s8_u16(vshrq_n_u16(vreinterpretq_u16_s8(right), 8));
  // Even bytes, and the odd ones are zero.
  return vuzp1q_u8(Uniform(vshll_n_u8(vget_low_u8(fraction), 7), right),
                   Uniform(vshll_high_n_u8(fraction, 7), right_high));
}

// The weights of saturated differences from the row's maximum.
template <bool kLog2>
PQV_INLINE uint8x16_t Weights(int16x8_t multiplier, Int16x16 difference) {
  const uint16x8_t low = vreinterpretq_u16_s16(vqrdmulhq_s16(difference.low, multiplier));
  const uint16x8_t high = vreinterpretq_u16_s16(vqrdmulhq_s16(difference.high, multiplier));
  if (kLog2) return PowersOfTwo(low, high);
  return Uniform(low, high);
}

// The differences are the upper halves of int32 that saturate where they do. SQSHL by fewer than 0
// shifts to the right without rounding, which is in the origin.
PQV_INLINE int16x8_t Difference(int32x4_t origin, int32x4_t shift, int32x4_t low, int32x4_t high) {
  return vuzp2q_s16(vreinterpretq_s16_s32(vqshlq_s32(vsubq_s32(origin, low), shift)),
                    vreinterpretq_s16_s32(vqshlq_s32(vsubq_s32(origin, high), shift)));
}

PQV_INLINE Int16x16 Difference(int32x4_t origin, int32x4_t shift, const Logits& x) {
  return {Difference(origin, shift, x.part[0], x.part[1]),
          Difference(origin, shift, x.part[2], x.part[3])};
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

struct Parameters {
  explicit Parameters(const Softmax2n& op)
      : right(vdupq_n_s32(op.shift > 0 ? op.shift : 0)),
        origin_of_zero(vdupq_n_s32(DifferenceOrigin(op.shift, 0))),
        to_upper_half(vdupq_n_s32(16 - op.shift)),
        multiplier(vdupq_n_s16(static_cast<int16_t>(op.multiplier))) {}

  int32x4_t right;
  int32x4_t origin_of_zero;
  int32x4_t to_upper_half;
  int16x8_t multiplier;
};

PQV_INLINE int32x4_t RowMax(const int32_t* x, size_t n) {
  int32x4_t max = vdupq_n_s32(INT32_MIN);
  ForEachStep(n, [&](size_t i) { max = vmaxq_s32(max, Max(Load(x + i))); });
  return max;
}

// DifferenceOrigin of the largest of these.
PQV_INLINE int32x4_t Origin(const Parameters& p, int32x4_t x) {
  const int32x4_t max = vdupq_n_s32(vmaxvq_s32(x));
  const int32x4_t rounded = vshlq_s32(vrshlq_s32(max, vnegq_s32(p.right)), p.right);
  return vaddq_s32(rounded, p.origin_of_zero);
}

template <bool kLog2>
void RunRows(const Softmax2n& op, const SoftmaxRows<int32_t>& rows) {
  const Parameters p(op);
  const size_t n = rows.n, x_stride = rows.x_stride, y_stride = rows.y_stride;
  const int32_t* x = rows.x;
  uint8_t* y = rows.y;
  for (size_t row = rows.rows; row != 0; --row, x += x_stride, y += y_stride) {
    const int32x4_t origin = Origin(p, RowMax(x, n));
    ForEachStep(n, [&](size_t i) {
      const Int16x16 difference = Difference(origin, p.to_upper_half, Load(x + i));
      vst1q_u8(y + i, Weights<kLog2>(p.multiplier, difference));
    });
  }
}

template <bool kLog2>
void RunShortRows(const Softmax2n& op, const SoftmaxRows<int32_t>& rows) {
  const Parameters p(op);
  const size_t n = rows.n;
  for (size_t row = 0; row < rows.rows; ++row) {
    const Logits logits = LoadFew(rows.x + row * rows.x_stride, n);
    const Int16x16 difference = Difference(Origin(p, Max(logits)), p.to_upper_half, logits);
    StorePartial8(rows.y + row * rows.y_stride, Weights<kLog2>(p.multiplier, difference), n);
  }
}

// The same of logits in int16.
PQV_INLINE int16x8_t NarrowOrigin(int shift, int16x8_t x) {
  const int32_t origin = DifferenceOrigin(shift, vmaxvq_s16(x));
  return vdupq_n_s16(static_cast<int16_t>(origin));
}

template <bool kLog2>
void RunNarrowRows(const Softmax2n& op, const SoftmaxRows<int16_t>& rows) {
  const int shift = op.shift;  // copies, which stores of bytes cannot change
  const size_t n = rows.n, x_stride = rows.x_stride, y_stride = rows.y_stride;
  const int16x8_t left = vdupq_n_s16(static_cast<int16_t>(-shift));
  const int16x8_t multiplier = vdupq_n_s16(static_cast<int16_t>(op.multiplier));
  const int16_t* x = rows.x;
  uint8_t* y = rows.y;
  for (size_t row = rows.rows; row != 0; --row, x += x_stride, y += y_stride) {
    int16x8_t max = vdupq_n_s16(INT16_MIN);
    ForEachStep(n, [&](size_t i) {
      const Int16x16 logits = Load16(x + i);
      max = vmaxq_s16(max, vmaxq_s16(logits.low, logits.high));
    });
    const int16x8_t origin = NarrowOrigin(shift, max);
    ForEachStep(n, [&](size_t i) {
      const Int16x16 logits = Load16(x + i);
      const Int16x16 difference = {vqshlq_s16(vsubq_s16(origin, logits.low), left),
                                   vqshlq_s16(vsubq_s16(origin, logits.high), left)};
      vst1q_u8(y + i, Weights<kLog2>(multiplier, difference));
    });
  }
}

struct BiasParameters {
  explicit BiasParameters(const Softmax2n& softmax)
      : op(softmax),
        requantizer(UniformRequantizer(op.shift, op.multiplier)),
        lowest_max(LowestNarrowMax(op)) {}

  const Softmax2n& op;
  Requantizer requantizer;
  int16_t lowest_max;
};

// What a row is made of, from some place on.
struct BiasedRow {
  const int32_t* x;
  const int16_t* bias;
  const uint8_t* mask;
};

// sat16(round_shift(X)) of 16 places.
PQV_INLINE Int16x16 Shifted(const Requantizer& r, const int32_t* x) {
  const Logits logits = Load(x);
  return {RoundShift16(r, logits.part[0], logits.part[1]),
          RoundShift16(r, logits.part[2], logits.part[3])};
}

PQV_INLINE Int16x16 AddBias(const Int16x16& shifted, const int16_t* bias) {
  return {vqaddq_s16(shifted.low, vld1q_s16(bias)), vqaddq_s16(shifted.high, vld1q_s16(bias + 8))};
}

// All ones, or zero where excluded.
PQV_INLINE uint8x16_t LoadKept(const uint8_t* mask) { return vceqzq_u8(vld1q_u8(mask)); }

// t, the smallest one where excluded: it leaves the maximum alone.
PQV_INLINE int16x8_t Keep(int16x8_t t, int8x8_t kept) {
  const uint16x8_t mask = vreinterpretq_u16_s16(vmovl_s8(kept));
  return vbslq_s16(mask, t, vdupq_n_s16(INT16_MIN));
}

// Of the places so far: the largest t, and the largest magnitude before the bias.
struct Extremes {
  int16x8_t max;
  uint16x8_t magnitude;
};

PQV_INLINE uint16x8_t Magnitude(int16x8_t t) { return vreinterpretq_u16_s16(vabsq_s16(t)); }

PQV_INLINE Extremes FindExtremes(const Requantizer& r, const BiasedRow& row, size_t n) {
  Extremes extremes = {vdupq_n_s16(INT16_MIN), vdupq_n_u16(0)};
  ForEachStep(n, [&](size_t i) {
    const Int16x16 shifted = Shifted(r, row.x + i);
    extremes.magnitude =
        vmaxq_u16(extremes.magnitude, vmaxq_u16(Magnitude(shifted.low), Magnitude(shifted.high)));
    const Int16x16 t = AddBias(shifted, row.bias + i);
    const int8x16_t kept = vreinterpretq_s8_u8(LoadKept(row.mask + i));
    extremes.max = vmaxq_s16(
        extremes.max, vmaxq_s16(Keep(t.low, vget_low_s8(kept)), Keep(t.high, vget_high_s8(kept))));
  });
  return extremes;
}

// Whether int16 is enough for a row of these.
PQV_INLINE bool IsNarrow(const BiasParameters& p, const Extremes& extremes, int16_t max) {
  return vmaxvq_u16(extremes.magnitude) < INT16_MAX && max >= p.lowest_max && max < INT16_MAX;
}

template <bool kLog2>
PQV_INLINE uint8x16_t BiasedWeights(const Requantizer& r, int16x8_t max, const BiasedRow& row,
                                    size_t i) {
  const Int16x16 t = AddBias(Shifted(r, row.x + i), row.bias + i);
  const Int16x16 difference = {vqsubq_s16(max, t.low), vqsubq_s16(max, t.high)};
  return vandq_u8(Weights<kLog2>(r.multiplier, difference), LoadKept(row.mask + i));
}

// In int16; rows for which that is not enough are left to the scalar kernel.
template <bool kLog2>
void RunBiasRow(const BiasParameters& p, BiasedRow row, size_t n, uint8_t* y) {
  const Extremes extremes = FindExtremes(p.requantizer, row, n);
  const int16_t max = vmaxvq_s16(extremes.max);
  if (!IsNarrow(p, extremes, max)) {
    return scalar::RunSoftmax2nBias(p.op, row.x, row.bias, row.mask, 1, n, y);
  }
  ForEachStep(n, [&](size_t i) {
    vst1q_u8(y + i, BiasedWeights<kLog2>(p.requantizer, vdupq_n_s16(max), row, i));
  });
}

// A row of fewer than 16 places, by way of one of 16 whose others are excluded.
template <bool kLog2>
void RunShortBiasRow(const BiasParameters& p, BiasedRow row, size_t n, uint8_t* y) {
  int32_t x[kStep] = {};
  int16_t bias[kStep] = {};
  uint8_t mask[kStep];
  uint8_t weights[kStep];
  memcpy(x, row.x, n * sizeof(int32_t));
  memcpy(bias, row.bias, n * sizeof(int16_t));
  memset(mask, 1, sizeof(mask));
  memcpy(mask, row.mask, n);
  RunBiasRow<kLog2>(p, {x, bias, mask}, kStep, weights);
  memcpy(y, weights, n);
}

}  // namespace

void RunSoftmax2n(const Softmax2n& op, const SoftmaxRows<int32_t>& rows) {
  const auto run = rows.n < kStep ? (op.log2 ? RunShortRows<true> : RunShortRows<false>)
                                  : (op.log2 ? RunRows<true> : RunRows<false>);
  run(op, rows);
}

void RunNarrowSoftmax2n(const Softmax2n& op, const SoftmaxRows<int16_t>& rows) {
  const auto run = op.log2 ? RunNarrowRows<true> : RunNarrowRows<false>;
  run(op, rows);
}

void RunSoftmax2nBias(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                      const uint8_t* mask, size_t rows, size_t n, uint8_t* y) {
  const BiasParameters parameters(op);
  const auto run_row = n < kStep ? (op.log2 ? RunShortBiasRow<true> : RunShortBiasRow<false>)
                                 : (op.log2 ? RunBiasRow<true> : RunBiasRow<false>);
  for (size_t offset = 0; offset < rows * n; offset += n) {
    run_row(parameters, {x + offset, bias + offset, mask + offset}, n, y + offset);
  }
}

}  // namespace neon
}  // namespace pqv
