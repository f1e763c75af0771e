#include "kernels/common/arithmetic_neon.h"
#include "kernels/layer_norm/layer_norm.h"

namespace pqv {
namespace neon {
namespace {

using namespace arm64;

constexpr size_t kBlockRows = 64;  // share what is loaded of a step's channels

PQV_INLINE Int16x16 Scale(int8x16_t x, const Int16x16& step) {
  return {vmulq_s16(vmovl_s8(vget_low_s8(x)), step.low), vmulq_s16(vmovl_high_s8(x), step.high)};
}

struct Sums {
  int32x4_t sum;
  // A lane adds at most 1024 squares of 2^20, 2^30 in all.
  int32x4_t squares[2];
  static_assert(kMaxNormChannels / 8 <= 1 << 10, "int32 sums of squares");
};

template <Norm kNorm>
PQV_INLINE void Add(const Int16x16& x, Sums* sums) {
  if (kNorm == Norm::kLayer) sums->sum = vpadalq_s16(vpadalq_s16(sums->sum, x.low), x.high);
  sums->squares[0] = vmlal_s16(sums->squares[0], vget_low_s16(x.low), vget_low_s16(x.low));
  sums->squares[1] = vmlal_high_s16(sums->squares[1], x.low, x.low);
  sums->squares[0] = vmlal_s16(sums->squares[0], vget_low_s16(x.high), vget_low_s16(x.high));
  sums->squares[1] = vmlal_high_s16(sums->squares[1], x.high, x.high);
}

template <Norm kNorm>
RowStatistics Statistics(const LayerNorm& op, const int8_t* row) {
  const size_t channels = op.channels;
  const int16_t* const step = op.step;
  Sums sums = {vdupq_n_s32(0), {vdupq_n_s32(0), vdupq_n_s32(0)}};
  size_t c = 0;
  for (; c + 2 * kLanes8 <= channels; c += 2 * kLanes8) {
    Add<kNorm>(Scale(vld1q_s8(row + c), Load16(step + c)), &sums);
    Add<kNorm>(Scale(vld1q_s8(row + c + kLanes8), Load16(step + c + kLanes8)), &sums);
  }
  if (c + kLanes8 <= channels) {
    Add<kNorm>(Scale(vld1q_s8(row + c), Load16(step + c)), &sums);
    c += kLanes8;
  }
  if (c < channels) Add<kNorm>(Scale(LoadCodes(row + c, channels - c), Load16(step + c)), &sums);
  const int64_t square_sum = vaddlvq_s32(sums.squares[0]) + vaddlvq_s32(sums.squares[1]);
  return FinishStatistics(op, vaddvq_s32(sums.sum), square_sum);
}

// The statistics of a row in every lane.
struct Row {
  int32x4_t sum;
  int32x4_t normal_shift;  // to the left, as SQRSHL has it
  int16x8_t reciprocal;
};

PQV_INLINE Row Broadcast(const RowStatistics& s) {
  return {vdupq_n_s32(s.sum), vdupq_n_s32(-s.normal_shift),
          vdupq_n_s16(static_cast<int16_t>(s.reciprocal))};
}

// What a node fixes, of 8 channels.
struct Channels {
  Requantizer requantizer;
  int16x8_t bias;
};

template <Norm kNorm>
PQV_INLINE Channels LoadConstants(const LayerNorm& op, size_t c) {
  return {LoadRequantizer(op.requantizer, c),
          kNorm == Norm::kLayer ? vld1q_s16(op.bias + c) : vdupq_n_s16(0)};
}

PQV_INLINE int32x4_t Normalize(const Row& row, int32x4_t centred) {
  return vmull_s16(vqmovn_s32(vqrshlq_s32(centred, row.normal_shift)),
                   vget_low_s16(row.reciprocal));
}

template <Norm kNorm>
PQV_INLINE int16x8_t Affine(const Channels& channels, const Row& row, int16x8_t x,
                            int16x8_t count) {
  int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(count));
  int32x4_t high = vmull_high_s16(x, count);
  if (kNorm == Norm::kLayer) {
    low = vsubq_s32(low, row.sum);
    high = vsubq_s32(high, row.sum);
  }
  const int16x8_t u = Requantize16(channels.requantizer, Normalize(row, low), Normalize(row, high));
  return kNorm == Norm::kLayer ? vqaddq_s16(u, channels.bias) : u;
}

// Channels c .. c + 15 of a block of rows.
template <Norm kNorm, bool kWhole>
PQV_INLINE void RunChannels(const LayerNorm& op, size_t c, const int8_t* x, const Row* rows,
                            size_t count, int8_t* y) {
  const Int16x16 step = Load16(op.step + c);
  const Channels low = LoadConstants<kNorm>(op, c);
  const Channels high = LoadConstants<kNorm>(op, c + 8);
  const int16x8_t channels = vdupq_n_s16(static_cast<int16_t>(op.channels));
  const Limits limits = MakeLimits(op.y_bits);
  const size_t stride = op.channels;
  const size_t width = kWhole ? kLanes8 : stride - c;
  x += c;
  y += c;
  for (size_t r = 0; r < count; ++r, x += stride, y += stride) {
    const Row& row = rows[r];
    const Int16x16 scaled = Scale(LoadCodes(x, width), step);
    const int16x8_t y_low = Affine<kNorm>(low, row, scaled.low, channels);
    const int16x8_t y_high = Affine<kNorm>(high, row, scaled.high, channels);
    StoreCodes(y, Narrow16(y_low, y_high, limits), width);
  }
}

template <Norm kNorm>
void RunBlock(const LayerNorm& op, const int8_t* x, size_t count, int8_t* y) {
  Row rows[kBlockRows];
  for (size_t r = 0; r < count; ++r) {
    rows[r] = Broadcast(Statistics<kNorm>(op, x + r * op.channels));
  }
  size_t c = 0;
  for (; c + kLanes8 <= op.channels; c += kLanes8)
    RunChannels<kNorm, true>(op, c, x, rows, count, y);
  if (c < op.channels) RunChannels<kNorm, false>(op, c, x, rows, count, y);
}

template <Norm kNorm>
void RunRows(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  for (size_t r = 0; r < rows; r += kBlockRows) {
    const size_t offset = r * op.channels;
    RunBlock<kNorm>(op, x + offset, Min(rows - r, kBlockRows), y + offset);
  }
}

}  // namespace

void RunNorm(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y) {
  const auto run_rows = op.norm == Norm::kLayer ? RunRows<Norm::kLayer> : RunRows<Norm::kRms>;
  run_rows(op, x, rows, y);
}

}  // namespace neon
}  // namespace pqv
