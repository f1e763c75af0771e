// Random cases of every op: the variants that this processor runs against scalar, bit for bit.
//
//   pqv_fuzz_kernels [--cases N] [--first I] [--seed S] [--op NAME] [--variant NAME]
//
// Case I of a seed is always the same. Inputs lie beside pages that are not there, so that a read
// beyond them is a fault, too.

#include <signal.h>
#include <string.h>

#include "kernels/attention/window_attention.h"
#include "kernels/packed_matmul/gelu.h"
#include "kernels/packed_matmul/layout.h"
#include "tests/custom_ops/fuzz.h"

namespace pqv {
namespace {

// Rows of `width` elements, some of them apart.
size_t Stride(Fuzz& fuzz, size_t width) {
  return fuzz.random().OneIn(4) ? width + static_cast<size_t>(fuzz.random().Within(1, 40)) : width;
}

size_t Span(size_t rows, size_t stride, size_t width) {
  return rows > 0 ? (rows - 1) * stride + width : 0;
}

int YBits(Fuzz& fuzz) { return fuzz.Int("y_bits", 4, 8); }

// An array of channels as nodes own it: padded with zeros.
template <typename T>
T* Channels(Fuzz& fuzz, size_t count, int64_t low, int64_t high) {
  T* values = fuzz.Fill<T>(PaddedChannels(count), low, high);
  std::fill(values + count, values + PaddedChannels(count), T{0});
  return values;
}

ChannelRequantizer Requantizer(Fuzz& fuzz, size_t channels, int max_shift = kMaxShift) {
  const int low = fuzz.Int("lowest shift", kMinShift, max_shift);
  const int high = fuzz.Int("highest shift", low, std::min(low + 6, max_shift));
  const size_t padded = PaddedChannels(channels);
  const int8_t* shift = Channels<int8_t>(fuzz, channels, low, high);
  const int limit = kMaxMultiplier;
  const int16_t* multiplier = Channels<int16_t>(fuzz, channels, -limit, limit);
  int32_t* right = fuzz.Memory<int32_t>(padded);
  int32_t* rounding = fuzz.Memory<int32_t>(padded);
  int32_t* left = fuzz.Memory<int32_t>(padded);
  int32_t* upper = fuzz.Memory<int32_t>(padded);
  bool has_left = false;
  for (size_t i = 0; i < padded; ++i) {
    right[i] = std::max<int>(shift[i], 0);
    rounding[i] = shift[i] > 0 ? 1 << (shift[i] - 1) : 0;
    left[i] = std::max<int>(-shift[i], 0);
    upper[i] = 16 - shift[i];
    has_left |= left[i] > 0;
  }
  return {shift, multiplier, right, rounding, left, upper, has_left};
}

const int32_t* RoundedBias(Fuzz& fuzz, const PackedMatMul& op) {
  int32_t* bias = fuzz.Memory<int32_t>(PaddedChannels(op.n));
  for (size_t i = 0; i < PaddedChannels(op.n); ++i) {
    bias[i] = op.bias[i] + op.requantizer.rounding[i];
  }
  return bias;
}

// Random weights in the layout of the file.
uint8_t* Weights(Fuzz& fuzz, int bits, size_t k, size_t n) {
  const bool is_narrow = bits == 8 && fuzz.random().OneIn(2);  // 7 bits, some kernels' quick way
  const int limit = (1 << (bits - is_narrow - 1)) - 1;
  const size_t count = CeilDivide(n, kPanelChannels) * CeilDivide(k, kGroupSize) * GroupBytes(bits);
  uint8_t* file = fuzz.Memory<uint8_t>(count);
  const int8_t* values = fuzz.Fill<int8_t>(n * k, -limit, limit);
  memset(file, 0, count);
  for (size_t channel = 0; channel < n; ++channel) {
    for (size_t i = 0; i < k; ++i) {
      uint8_t* group = const_cast<uint8_t*>(Group(file, bits, k, i, channel));
      const size_t c = channel % kPanelChannels;
      const int weight = *values++;
      if (bits == 8) {
        group[kGroupSize * c + i % kGroupSize] = static_cast<uint8_t>(weight);
      } else {
        const int nibble = (weight & 0x0F) << (c < 4 ? 0 : 4);
        group[kGroupSize * (c % 4) + i % kGroupSize] |= static_cast<uint8_t>(nibble);
      }
    }
  }
  return file;
}

// int4 takes other ways than int8 in some kernels.
const int8_t* Activations(Fuzz& fuzz, size_t count) {
  const int limit = fuzz.random().OneIn(2) ? 8 : fuzz.random().OneIn(2) ? 64 : 128;
  return fuzz.Fill<int8_t>(count, -limit, limit - 1);
}

// Now and then more rows than kernels take at once.
size_t MaxRows(Fuzz& fuzz) { return fuzz.random().OneIn(64) ? 900 : 40; }

// The block whole, or cut in four where the tiles of the kernel allow, in the middle or near the
// end.
enum class Cut { kNone, kMiddle, kEnd };

size_t CutAt(Cut cut, size_t end, size_t tile) {
  if (cut == Cut::kNone || end == 0) return 0;
  return (cut == Cut::kMiddle ? end / 2 : end - 1) / tile * tile;
}

template <typename Run>
void RunCut(const PackedMatMulKernel& kernel, PackedMatMulBlock block, Cut cut, const Run& run) {
  const size_t rows[] = {0, CutAt(cut, block.row_end, kernel.row_tile), block.row_end};
  const size_t channels[] = {0, CutAt(cut, block.channel_end, kernel.channel_tile),
                             block.channel_end};
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < 2; ++j) {
      block.row_begin = rows[i];
      block.row_end = rows[i + 1];
      block.channel_begin = channels[j];
      block.channel_end = channels[j + 1];
      if (rows[i] < rows[i + 1] && channels[j] < channels[j + 1]) run(block);
    }
  }
}

// What kernels want prepared, as the binding does it.
void Prepare(Fuzz& fuzz, const PackedMatMulKernel& kernel, PackedMatMul* shared_op,
             PackedMatMulBlock* block) {
  shared_op->weight_sums = nullptr;
  if (kernel.sum_weights != nullptr) {
    int32_t* const sums = fuzz.Fill<int32_t>(kWeightSums * PaddedChannels(shared_op->n), 0, 0);
    shared_op->has_narrow_weights = kernel.sum_weights(*shared_op, sums);
    shared_op->weight_sums = sums;
  }
  const PackedMatMul& op = *shared_op;
  // Seldom none, as where there is no memory for it.
  const bool wants_rows = kernel.prepared_bytes != nullptr && !fuzz.random().OneIn(16);
  const size_t bytes = wants_rows ? kernel.prepared_bytes(op, block) : 0;
  block->prepared = bytes > 0 ? fuzz.Memory<uint8_t>(bytes) : nullptr;
  if (bytes == 0) return;
  block->prepared_rows = block->row_end;
  if (!kernel.prepare(op, *block)) block->prepared = nullptr;
}

// Memory for a block, if its kernel wants some.
void Lend(Fuzz& fuzz, const PackedMatMulKernel& kernel, const PackedMatMul& op,
          PackedMatMulBlock* block) {
  const size_t bytes = kernel.scratch_bytes != nullptr ? kernel.scratch_bytes(op, *block) : 0;
  block->scratch = bytes > 0 ? fuzz.Memory<uint8_t>(bytes) : nullptr;
}

enum class Epilogue { kRequantize, kRequantizeAdd, kRequantizeGelu, kNone };

struct MatMulSizes {
  size_t m, k, n;
};

// One in 16 has the sizes that Strassen's product takes, beside those that it leaves; one in 4 of
// these is as large as those that it splits twice, in several passes over k and blocks of rows.
MatMulSizes PackedMatMulSizes(Fuzz& fuzz) {
  const bool is_deep = fuzz.random().OneIn(64);
  if (fuzz.random().OneIn(64)) {  // about as much k as kernels take in a pass
    return {fuzz.Size("M", 1, 20), fuzz.Size("K", 1010, 1040), fuzz.Size("N", 1, 140)};
  }
  if (!fuzz.random().OneIn(16)) {
    const size_t m = fuzz.Size("M", 1, MaxRows(fuzz));
    return {m, fuzz.Size("K", 1, is_deep ? 1100 : 140),
            fuzz.Size("N", 1, fuzz.random().OneIn(4) ? 280 : 140)};
  }
  const bool is_large = !is_deep && fuzz.random().OneIn(4);
  const int m = is_large ? fuzz.Int("M", 128, 300) : fuzz.Int("M", 16, is_deep ? 110 : 230);
  const int k = is_large ? fuzz.Int("K / 32", 24, 64) : fuzz.Int("K / 32", 3, is_deep ? 110 : 16);
  const int n = is_large ? fuzz.Int("N", 192, 288) : fuzz.Int("N", 16, 140);
  return {size_t(m), size_t(32 * k), size_t(n)};
}

GeluTables Tables(Fuzz& fuzz, size_t channels) {
  const size_t group_width = fuzz.Size("channels of a table", 1, channels);
  const size_t groups = CeilDivide(channels, group_width);
  int8_t* const entries = fuzz.Fill<int8_t>(groups * kGeluTableSize, -128, 127);
  constexpr size_t kQuarter = kGeluTableSize / 4;  // which some kernels know to be constant
  for (size_t i = 0; i < groups * kGeluTableSize; i += kQuarter) {
    if (fuzz.random().OneIn(4)) memset(entries + i, entries[i], kQuarter);
  }
  return {entries, group_width};
}

template <int kBits, Epilogue kEpilogue>
bool FuzzPackedMatMul(Fuzz& fuzz) {
  const auto [m, k, n] = PackedMatMulSizes(fuzz);
  PackedMatMul op = {};
  op.k = k;
  op.n = n;
  op.weights = Weights(fuzz, kBits, k, n);
  // Small sums that are shifted to the left are some kernels' quick way.
  const bool is_left = fuzz.random().OneIn(3);
  const bool is_small = is_left || fuzz.random().OneIn(3);
  const int max_bias = is_small ? 4096 : kMaxBias;
  op.bias = Channels<int32_t>(fuzz, n, -max_bias, max_bias);
  PackedMatMulBlock block = {};
  block.row_end = m;
  block.channel_end = n;
  block.a_stride = Stride(fuzz, k);
  block.a = Activations(fuzz, Span(m, block.a_stride, k));
  block.y_stride = Stride(fuzz, n);
  if (kEpilogue != Epilogue::kNone) {
    op.y_bits = YBits(fuzz);
    op.requantizer = Requantizer(fuzz, n, is_left ? -1 : is_small ? 3 : kMaxShift);
    op.rounded_bias = RoundedBias(fuzz, op);
  }
  GeluTables tables = {};
  if (kEpilogue == Epilogue::kRequantizeGelu) {
    op.y_bits = 8;
    tables = Tables(fuzz, n);
  }
  if (kEpilogue == Epilogue::kRequantizeAdd) {
    op.residual_multiplier = Channels<int16_t>(fuzz, n, 0, kMaxMultiplier);
    block.residual_stride = Stride(fuzz, n);
    block.residual_rows = fuzz.random().OneIn(2) ? m : fuzz.Size("residual rows", 1, m);
    const size_t span = Span(block.residual_rows, block.residual_stride, n);
    block.residual = fuzz.Fill<int8_t>(span, -128, 127);
  }
  const Cut cut = fuzz.random().OneIn(2)   ? Cut::kNone
                  : fuzz.random().OneIn(4) ? Cut::kEnd
                                           : Cut::kMiddle;
  const auto run_variant = [&](const Variant& variant, auto* y) {
    const PackedMatMulKernel& kernel =
        kBits == 4 ? *variant.packed_int4_matmul : *variant.packed_int8_matmul;
    Prepare(fuzz, kernel, &op, &block);
    RunCut(kernel, block, cut, [&](PackedMatMulBlock part) {
      Lend(fuzz, kernel, op, &part);
      if constexpr (kEpilogue == Epilogue::kNone) {
        kernel.run_to_int32(op, part, y);
      } else if constexpr (kEpilogue == Epilogue::kRequantizeGelu) {
        RunMatMulGelu(variant, kernel, op, part, tables, y);
      } else {
        kernel.run(op, part, y);
      }
    });
  };
  using Y = std::conditional_t<kEpilogue == Epilogue::kNone, int32_t, int8_t>;
  return fuzz.Compare<Y>(Span(m, block.y_stride, n), run_variant);
}

bool FuzzIntMatMul(Fuzz& fuzz) {
  IntMatMul op = {};
  op.m = fuzz.Size("M", 1, MaxRows(fuzz));
  op.n = fuzz.Size("N", 1, 60);
  op.k = fuzz.Size("K", 0, fuzz.random().OneIn(64) ? 1100 : 100);
  op.a_stride = Stride(fuzz, op.k);
  op.a = Activations(fuzz, Span(op.m, op.a_stride, op.k));
  op.b_stride = Stride(fuzz, op.k);
  op.b = Activations(fuzz, Span(op.n, op.b_stride, op.k));
  op.y_stride = Stride(fuzz, op.n);
  const size_t count = Span(op.m, op.y_stride, op.n);
  return fuzz.Compare<int32_t>(count, [&](const Variant& variant, int32_t* y) {
    op.y = y;
    variant.int_matmul(op);
  });
}

// For logits below 2^bits. Mostly their differences have weights, and their t are some of them
// beyond int16, or none.
Softmax2n Softmax(Fuzz& fuzz, int bits) {
  const bool is_usual = !fuzz.random().OneIn(4);
  const int low = is_usual ? std::clamp(bits - 17, kMinShift, kMaxShift) : kMinShift;
  const int high = is_usual ? std::clamp(bits - 9, kMinShift, kMaxShift) : kMaxShift;
  const int shift = fuzz.Int("shift", low, high);
  const int multiplier =
      fuzz.Int("multiplier", fuzz.random().OneIn(4) ? 1 : 1 << 14, kMaxMultiplier);
  return {shift, multiplier, fuzz.Int("log2", 0, 1) != 0};
}

// Rows of logits, every other time around one that may be far away.
const int32_t* Logits(Fuzz& fuzz, int bits, size_t rows, size_t n) {
  const int64_t limit = int64_t{1} << bits;
  int32_t* logits = fuzz.Fill<int32_t>(rows * n, -limit, limit);
  const int64_t room = (int64_t{1} << 29) - limit;
  const int64_t far = std::min(room, int64_t{1} << fuzz.Int("log2 of the distance", 0, 29));
  for (size_t row = 0; row < rows; ++row) {
    if (fuzz.random().OneIn(2)) continue;
    const int64_t middle = fuzz.random().Within(-far, far);
    for (size_t i = 0; i < n; ++i) logits[row * n + i] += static_cast<int32_t>(middle);
  }
  return logits;
}

int LogitBits(Fuzz& fuzz) { return fuzz.Int("log2 of the largest logit", 0, 29); }

bool FuzzSoftmax2n(Fuzz& fuzz) {
  const int bits = LogitBits(fuzz);
  const Softmax2n op = Softmax(fuzz, bits);
  const size_t rows = fuzz.Size("rows", 1, 9);
  const size_t n = fuzz.Size("N", 1, 300);
  const int32_t* x = Logits(fuzz, bits, rows, n);
  return fuzz.Compare<uint8_t>(rows * n, [&](const Variant& variant, uint8_t* y) {
    variant.softmax2n(op, {x, n, rows, n, y, n});
  });
}

bool FuzzSoftmax2nBias(Fuzz& fuzz) {
  const int bits = LogitBits(fuzz);
  const Softmax2n op = Softmax(fuzz, bits);
  const size_t rows = fuzz.Size("rows", 1, 9);
  const size_t n = fuzz.Size("N", 1, 150);
  const int32_t* x = Logits(fuzz, bits, rows, n);
  const int limit = fuzz.Int("largest bias", 0, 32767);
  const int16_t* bias = fuzz.Fill<int16_t>(rows * n, -limit - 1, limit);
  const uint8_t* mask = fuzz.Fill<uint8_t>(rows * n, 0, fuzz.random().OneIn(2) ? 1 : 255);
  return fuzz.Compare<uint8_t>(rows * n, [&](const Variant& variant, uint8_t* y) {
    variant.softmax2n_bias(op, x, bias, mask, rows, n, y);
  });
}

bool FuzzWeightedMean(Fuzz& fuzz) {
  WeightedMean op = {};
  op.shift = fuzz.Int("shift", -16, 7);
  op.multiplier = fuzz.Int("multiplier", 1, kMaxMultiplier);
  op.y_bits = YBits(fuzz);
  op.m = fuzz.Size("M", 1, MaxRows(fuzz));
  op.n = fuzz.Size("N", 0, fuzz.random().OneIn(64) ? 1100 : 100);
  op.d = fuzz.Size("D", 1, 80);
  op.w_stride = Stride(fuzz, op.n);
  op.w = fuzz.Fill<uint8_t>(Span(op.m, op.w_stride, op.n), 0, fuzz.random().OneIn(2) ? 128 : 255);
  op.v_stride = Stride(fuzz, op.d);
  op.v = Activations(fuzz, Span(op.n, op.v_stride, op.d));
  op.y_stride = Stride(fuzz, op.d);
  const size_t count = Span(op.m, op.y_stride, op.d);
  return fuzz.Compare<int8_t>(count, [&](const Variant& variant, int8_t* y) {
    op.y = y;
    variant.weighted_mean(op);
  });
}

// Products of queries and keys of this depth are mostly below 2^bits.
int ProductBits(size_t depth) {
  int bits = 13;
  for (size_t i = depth; i > 1; i /= 4) ++bits;
  return bits;
}

// Every other time makes all queries, and all keys, of a head nearly the same. Its logits then are
// large, and of one sign, and differ by little.
void MakeSimilar(Fuzz& fuzz, int8_t* qkv, size_t tokens, size_t stride, size_t width,
                 size_t depth) {
  if (fuzz.random().OneIn(2)) return;
  const int sign = fuzz.Int("sign", 0, 1) * 2 - 1;
  const int noise = fuzz.Int("noise", 0, 9);
  const auto near = [&](int x) {
    return static_cast<int8_t>(
        std::clamp<int64_t>(x + fuzz.random().Within(-noise, noise), -128, 127));
  };
  for (size_t c = 0; c < depth; ++c) {
    const int value = qkv[c];
    for (size_t t = 0; t < tokens; ++t) {
      qkv[t * stride + c] = near(sign * value);
      qkv[t * stride + width + c] = near(value);
    }
  }
}

bool FuzzAttention(Fuzz& fuzz) {
  Attention op = {};
  op.mean_shift = fuzz.Int("mean_shift", -16, 7);
  op.mean_multiplier = fuzz.Int("mean_multiplier", 1, kMaxMultiplier);
  op.y_bits = YBits(fuzz);
  op.tokens = fuzz.Size("tokens", 1, fuzz.random().OneIn(64) ? 300 : 40);
  op.rows = fuzz.Size("rows", 1, op.tokens);
  op.depth = fuzz.Size("depth", 1, 80);
  op.softmax = Softmax(fuzz, ProductBits(op.depth));
  op.stride = 3 * op.depth + Stride(fuzz, 0);
  op.y_stride = Stride(fuzz, op.depth);
  const int limit = fuzz.random().OneIn(2) ? 8 : 128;  // codes of 4 bits take a way of their own
  int8_t* qkv = fuzz.Fill<int8_t>(Span(op.tokens, op.stride, 3 * op.depth), -limit, limit - 1);
  MakeSimilar(fuzz, qkv, op.tokens, op.stride, op.depth, op.depth);
  op.q = qkv;
  op.k = qkv + op.depth;
  op.v = qkv + 2 * op.depth;
  const size_t count = Span(op.rows, op.y_stride, op.depth);
  return fuzz.Compare<int8_t>(count, [&](const Variant& variant, int8_t* y) {
    op.y = y;
    uint8_t* scratch = fuzz.Memory<uint8_t>(variant.attention->scratch_bytes(op));
    variant.attention->run(variant, op, scratch);
  });
}

bool FuzzWindowAttention(Fuzz& fuzz) {
  WindowAttention op = {};
  op.mean_shift = fuzz.Int("mean_shift", -16, 7);
  op.mean_multiplier = fuzz.Int("mean_multiplier", 1, kMaxMultiplier);
  op.y_bits = YBits(fuzz);
  op.window_height = fuzz.Size("window_height", 1, 7);
  op.window_width = fuzz.Size("window_width", 1, 7);
  op.roll_height = fuzz.Size("roll_height", 0, op.window_height - 1);
  op.roll_width = fuzz.Size("roll_width", 0, op.window_width - 1);
  op.height = op.window_height * fuzz.Size("windows down", 1, 2);
  op.width = op.window_width * fuzz.Size("windows across", 1, 2);
  op.heads = fuzz.Size("heads", 1, 2);
  op.depth = fuzz.Size("depth", 1, 40);
  const size_t pairs = op.window_height * op.window_width * op.window_height * op.window_width;
  const size_t count = op.height * op.width * op.heads * op.depth;
  op.softmax = Softmax(fuzz, ProductBits(op.depth));
  int8_t* qkv = fuzz.Fill<int8_t>(3 * count, -128, 127);
  const size_t width = op.heads * op.depth;
  MakeSimilar(fuzz, qkv, op.height * op.width, 3 * width, width, op.depth);
  op.qkv = qkv;
  const int limit = fuzz.Int("largest bias", 0, INT16_MAX);
  op.bias = fuzz.Fill<int16_t>(op.heads * pairs, -limit - 1, limit);
  const uint8_t* mask = fuzz.Fill<uint8_t>(pairs, 0, fuzz.Int("largest mask", 0, 1));
  return fuzz.Compare<int8_t>(count, [&](const Variant& variant, int8_t* y) {
    op.y = y;
    uint8_t* scratch = fuzz.Memory<uint8_t>(WindowAttentionScratchBytes(variant, op));
    for (size_t row = 0; row < op.height / op.window_height; ++row) {
      for (size_t column = 0; column < op.width / op.window_width; ++column) {
        RunWindowAttention(variant, op, row, column, mask, scratch);
      }
    }
  });
}

template <Norm kNorm>
bool FuzzNorm(Fuzz& fuzz) {
  LayerNorm op = {};
  op.norm = kNorm;
  const size_t limit = fuzz.random().OneIn(32) ? kMaxNormChannels : 200;
  op.channels = fuzz.Size("C", 1, limit);
  op.epsilon = fuzz.Int("epsilon", 0, 1 << 23) << fuzz.Int("epsilon's shift", 0, 7);
  op.epsilon <<= fuzz.Int("epsilon's second shift", 0, 16);
  op.y_bits = YBits(fuzz);
  const int max_exponent = fuzz.Int("largest exponent", 0, 3);
  int16_t* step = Channels<int16_t>(fuzz, op.channels, 0, max_exponent);
  for (size_t c = 0; c < op.channels; ++c) step[c] = static_cast<int16_t>(1 << step[c]);
  op.step = step;
  op.requantizer = Requantizer(fuzz, op.channels);
  if (kNorm == Norm::kLayer) op.bias = Channels<int16_t>(fuzz, op.channels, INT16_MIN, INT16_MAX);
  const size_t rows = fuzz.Size("rows", 1, 70);
  const int x_limit = fuzz.Int("largest x", 0, 127);
  int8_t* x = fuzz.Fill<int8_t>(rows * op.channels, -x_limit - 1, x_limit);
  // One outlier in a row of equals, or zeros, is as many sigmas from the mean as can be.
  for (size_t row = 0; row < rows && fuzz.random().OneIn(4); ++row) {
    memset(x + row * op.channels, kNorm == Norm::kLayer ? 1 : 0, op.channels);
    const int64_t outlier = fuzz.random().Within(0, static_cast<int64_t>(op.channels) - 1);
    x[row * op.channels + static_cast<size_t>(outlier)] = static_cast<int8_t>(-x_limit - 1);
  }
  return fuzz.Compare<int8_t>(
      rows * op.channels, [&](const Variant& variant, int8_t* y) { variant.norm(op, x, rows, y); });
}

bool FuzzGelu(Fuzz& fuzz) {
  GeluBlock block = {};
  block.rows = fuzz.Size("rows", 0, 5);
  block.width = fuzz.Size("width", 0, 600);
  block.stride = Stride(fuzz, block.width);
  const size_t count = Span(block.rows, block.stride, block.width);
  const size_t channel = fuzz.Size("first channel", 0, 100);
  const GeluTables tables = Tables(fuzz, channel + block.width + 1);
  const int8_t* x = fuzz.Fill<int8_t>(count, -128, 127);
  const bool in_place = fuzz.random().OneIn(2);
  return fuzz.Compare<int8_t>(count, [&](const Variant& variant, int8_t* y) {
    if (in_place) std::copy(x, x + count, y);
    block.x = in_place ? y : x;
    block.y = y;
    RunGeluTables(variant.gelu, tables, channel, block);
  });
}

bool FuzzAdd(Fuzz& fuzz) {
  IntAdd op = {};
  op.channels = fuzz.Size("C", 1, 300);
  op.y_bits = YBits(fuzz);
  op.a_multiplier = Channels<int16_t>(fuzz, op.channels, 0, kMaxMultiplier);
  op.b_multiplier = Channels<int16_t>(fuzz, op.channels, 0, kMaxMultiplier);
  AddRows rows = {};
  rows.end = fuzz.Size("rows", 1, MaxRows(fuzz));
  rows.begin = fuzz.random().OneIn(2) ? 0 : fuzz.Size("first row", 0, rows.end);
  rows.b_rows = fuzz.random().OneIn(2) ? rows.end : fuzz.Size("rows of B", 1, rows.end);
  const size_t count = rows.end * op.channels;
  rows.a = fuzz.Fill<int8_t>(count, -128, 127);
  rows.b = fuzz.Fill<int8_t>(rows.b_rows * op.channels, -128, 127);
  return fuzz.Compare<int8_t>(count, [&](const Variant& variant, int8_t* y) {
    rows.y = y;
    variant.add(op, rows);
  });
}

bool FuzzRotary(Fuzz& fuzz) {
  Rotary op = {};
  op.depth = 2 * fuzz.Size("half of D", 1, 80);
  op.pairs = fuzz.Int("pairs", 0, 1) != 0;
  op.shift = fuzz.Int("shift", kMinShift, kMaxShift);
  op.multiplier = fuzz.Int("multiplier", 1, kMaxMultiplier);
  op.y_bits = YBits(fuzz);
  RotaryRows rows = {};
  rows.end = fuzz.Size("rows", 1, MaxRows(fuzz));
  rows.begin = fuzz.random().OneIn(2) ? 0 : fuzz.Size("first row", 0, rows.end);
  op.repeat = fuzz.random().OneIn(2) ? 1 : fuzz.Size("rows that read the same", 1, rows.end);
  op.table_rows = fuzz.random().OneIn(2) ? rows.end : fuzz.Size("rows of tables", 1, rows.end);
  constexpr int kOne = 1 << kRotaryTableBits;
  op.cos = fuzz.Fill<int16_t>(op.table_rows * op.depth, -kOne, kOne);
  op.sin = fuzz.Fill<int16_t>(op.table_rows * op.depth, -kOne, kOne);
  const size_t count = rows.end * op.depth;
  rows.x = fuzz.Fill<int8_t>(count, -128, 127);
  return fuzz.Compare<int8_t>(count, [&](const Variant& variant, int8_t* y) {
    rows.y = y;
    variant.rotary(op, rows);
  });
}

bool FuzzGate(Fuzz& fuzz) {
  Gate op = {};
  op.a_zero_point = fuzz.Int("a_zero_point", -128, 127);
  op.b_zero_point = fuzz.Int("b_zero_point", -128, 127);
  op.shift = fuzz.Int("shift", kMinShift, kMaxShift);
  op.multiplier = fuzz.Int("multiplier", 1, kMaxMultiplier);
  op.y_bits = YBits(fuzz);
  const size_t count = fuzz.Size("count", 0, 600);
  const int8_t* a = fuzz.Fill<int8_t>(count, -128, 127);
  const int8_t* b = fuzz.Fill<int8_t>(count, -128, 127);
  return fuzz.Compare<int8_t>(
      count, [&](const Variant& variant, int8_t* y) { variant.gate(op, a, b, count, y); });
}

struct Op {
  const char* name;
  bool (*fuzz)(Fuzz& fuzz);  // one case; false where a variant differs
};

constexpr Op kOps[] = {
    {"PackedInt4MatMul", FuzzPackedMatMul<4, Epilogue::kRequantize>},
    {"PackedInt4MatMulAdd", FuzzPackedMatMul<4, Epilogue::kRequantizeAdd>},
    {"PackedInt4MatMulGELU", FuzzPackedMatMul<4, Epilogue::kRequantizeGelu>},
    {"PackedInt8MatMul", FuzzPackedMatMul<8, Epilogue::kRequantize>},
    {"PackedInt8MatMulAdd", FuzzPackedMatMul<8, Epilogue::kRequantizeAdd>},
    {"PackedInt8MatMulGELU", FuzzPackedMatMul<8, Epilogue::kRequantizeGelu>},
    {"PackedInt8MatMulToInt32", FuzzPackedMatMul<8, Epilogue::kNone>},
    {"IntMatMul", FuzzIntMatMul},
    {"IntSoftmax2n", FuzzSoftmax2n},
    {"IntSoftmax2nBias", FuzzSoftmax2nBias},
    {"IntWeightedMean", FuzzWeightedMean},
    {"IntAttention", FuzzAttention},
    {"IntWindowAttention", FuzzWindowAttention},
    {"IntLayerNorm", FuzzNorm<Norm::kLayer>},
    {"IntRMSNorm", FuzzNorm<Norm::kRms>},
    {"IntGELU", FuzzGelu},
    {"IntAdd", FuzzAdd},
    {"IntRotary", FuzzRotary},
    {"IntGate", FuzzGate},
};

struct Options {
  uint64_t cases = 2000;
  uint64_t first = 0;
  uint64_t seed = 1;
  std::string op;
  std::string variant;
};

[[noreturn]] void Fail(const std::string& message) {
  fprintf(stderr, "%s\n", message.c_str());
  exit(2);
}

Options ParseArguments(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) Fail(flag + " has no value");
    const char* const value = argv[i + 1];
    if (flag == "--op") {
      options.op = value;
    } else if (flag == "--variant") {
      options.variant = value;
    } else {
      uint64_t* const number = flag == "--cases"   ? &options.cases
                               : flag == "--first" ? &options.first
                               : flag == "--seed"  ? &options.seed
                                                   : nullptr;
      char* end = nullptr;
      if (number == nullptr) Fail("unknown flag " + flag);
      *number = strtoull(value, &end, 10);
      if (*value == '\0' || *end != '\0') Fail(flag + " is " + value + ", expected a number");
    }
  }
  return options;
}

std::vector<const Variant*> Selected(const std::string& name) {
  std::vector<const Variant*> variants;
  for (size_t i = 0; i + 1 < kVariantCount; ++i) {
    const Variant& variant = kVariants[i];
    if (variant.supported() && (name.empty() || name == variant.name)) variants.push_back(&variant);
  }
  if (variants.empty()) Fail("no variant " + name + " on this processor beside scalar");
  return variants;
}

// Where the case that runs is written down for the handler of faults.
const Fuzz* running = nullptr;
const char* running_op = "";
uint64_t running_case = 0;

void OnFault(int) {
  char message[256];
  const int size =
      snprintf(message, sizeof(message), "%s %s case %llu: access out of bounds\n", running_op,
               running->current(), static_cast<unsigned long long>(running_case));
  const ssize_t written = write(STDERR_FILENO, message, static_cast<size_t>(size));
  _exit(written > 0 ? 1 : 3);
}

bool RunOp(const Op& op, const Options& options, Fuzz* fuzz) {
  running_op = op.name;
  for (uint64_t i = 0; i < options.cases; ++i) {
    running_case = options.first + i;
    fuzz->Begin(options.seed, running_case);
    if (op.fuzz(*fuzz)) continue;
    printf("%s case %llu of seed %llu\n", op.name, static_cast<unsigned long long>(running_case),
           static_cast<unsigned long long>(options.seed));
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  const Options options = ParseArguments(argc, argv);
  const std::vector<const Variant*> variants = Selected(options.variant);
  Fuzz fuzz(variants);
  running = &fuzz;
  signal(SIGSEGV, OnFault);
  signal(SIGBUS, OnFault);
  bool found = false;
  for (const Op& op : kOps) {
    if (!options.op.empty() && options.op != op.name) continue;
    found = true;
    if (!RunOp(op, options, &fuzz)) return 1;
    printf("%s: %llu cases equal on", op.name, static_cast<unsigned long long>(options.cases));
    for (const Variant* variant : variants) printf(" %s", variant->name);
    printf("\n");
    fflush(stdout);
  }
  if (!found) Fail("no op " + options.op);
  return 0;
}

}  // namespace
}  // namespace pqv

int main(int argc, char** argv) { return pqv::Main(argc, argv); }
