#include "benchmarks/kernels/cases.h"

#include <stdint.h>
#include <stdio.h>

#include <memory>
#include <new>
#include <random>
#include <utility>

#include "kernels/attention/window_attention.h"
#include "kernels/packed_matmul/gelu.h"
#include "kernels/packed_matmul/layout.h"

namespace pqv {
namespace {

std::mt19937 generator(1);

// Memory as onnxruntime gives it: at the start of a cache line.
template <typename T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <typename U>
  LineAllocator(const LineAllocator<U>&) {}
  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{64}));
  }
  void deallocate(T* memory, size_t) { ::operator delete(memory, std::align_val_t{64}); }
  friend bool operator==(const LineAllocator&, const LineAllocator&) { return true; }
  friend bool operator!=(const LineAllocator&, const LineAllocator&) { return false; }
};

template <typename T>
using Vector = std::vector<T, LineAllocator<T>>;

template <typename T>
Vector<T> Random(size_t count, int low, int high) {
  std::uniform_int_distribution<int> values(low, high);
  Vector<T> data(count);
  for (T& x : data) x = static_cast<T>(values(generator));
  return data;
}

// A packed matmul of codes of `bits` bits, 4, 7 or 8, and the memory it needs.
struct Packed {
  size_t m, k, n;
  Vector<int8_t> a, y, residual, shift;
  Vector<uint8_t> file, prepared, scratch;
  Vector<int32_t> bias, rounded_bias, weight_sums, right, rounding, left, upper;
  Vector<int16_t> multiplier, residual_multiplier;
  PackedMatMul op = {};
  PackedMatMulBlock block = {};

  Packed(const PackedMatMulKernel& kernel, int bits, size_t m_, size_t k_, size_t n_,
         bool has_residual)
      : m(m_),
        k(k_),
        n(n_),
        a(Random<int8_t>(m * k, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
        y(m * n),
        residual(Random<int8_t>(m * n, -128, 127)),
        shift(PaddedChannels(n), bits > 4 ? 8 : -4) {  // few products of 4 bits are shifted right
    const size_t padded = PaddedChannels(n);
    const bool is_left = shift[0] < 0;
    const size_t groups = CeilDivide(n, kPanelChannels) * CeilDivide(k, kGroupSize);
    file = bits == 4 ? Random<uint8_t>(groups * GroupBytes(4), 0, 255)
                     : Random<uint8_t>(groups * GroupBytes(8), 0, (1 << bits) - 1);
    for (uint8_t& x : file) x = static_cast<uint8_t>(x - (bits == 7 ? 64 : 0));
    bias = Random<int32_t>(padded, -4096, 4096);
    right.assign(padded, is_left ? 0 : shift[0]);
    rounding.assign(padded, is_left ? 0 : 1 << (shift[0] - 1));
    left.assign(padded, is_left ? -shift[0] : 0);
    upper.assign(padded, 16 - shift[0]);
    rounded_bias = bias;
    for (int32_t& x : rounded_bias) x += rounding[0];
    multiplier = Random<int16_t>(padded, -32767, 32767);
    residual_multiplier = Random<int16_t>(padded, 0, 32767);
    op.k = k;
    op.n = n;
    op.weights = file.data();
    op.bias = bias.data();
    op.rounded_bias = rounded_bias.data();
    op.requantizer = {shift.data(), multiplier.data(), right.data(), rounding.data(),
                      left.data(),  upper.data(),      is_left};
    op.residual_multiplier = has_residual ? residual_multiplier.data() : nullptr;
    op.y_bits = 8;
    if (kernel.sum_weights != nullptr) {
      weight_sums.assign(kWeightSums * padded, 0);
      op.has_narrow_weights = kernel.sum_weights(op, weight_sums.data());
      op.weight_sums = weight_sums.data();
    }
    block = {0, m, 0, n, a.data(), k, residual.data(), n, m, n, nullptr, 0, false, nullptr};
  }
};

// As the binding does it before every product.
void Prepare(const PackedMatMulKernel& kernel, Packed* packed) {
  PackedMatMulBlock& block = packed->block;
  const size_t bytes =
      kernel.prepared_bytes != nullptr ? kernel.prepared_bytes(packed->op, &block) : 0;
  packed->prepared.resize(bytes);
  block.prepared = bytes > 0 ? packed->prepared.data() : nullptr;
  block.prepared_rows = packed->m;
  if (bytes > 0 && !kernel.prepare(packed->op, block)) block.prepared = nullptr;
  if (kernel.scratch_bytes == nullptr) return;
  packed->scratch.resize(kernel.scratch_bytes(packed->op, block));
  block.scratch = packed->scratch.data();
}

void Run(const PackedMatMulKernel& kernel, Packed* packed) {
  Prepare(kernel, packed);
  kernel.run(packed->op, packed->block, packed->y.data());
}

void AddPacked(const Variant& variant, std::vector<Case>* cases) {
  const size_t shapes[][3] = {{197, 192, 576},  {197, 192, 192},   {197, 192, 768},
                              {197, 768, 192},  {197, 384, 1536},  {197, 768, 3072},
                              {197, 3072, 768}, {1576, 768, 3072}, {1, 192, 1000},
                              {1, 768, 3072},   {3136, 96, 288},   {3136, 96, 96}};
  for (const auto& [m, k, n] : shapes) {
    for (const int bits : {4, 7, 8}) {
      const PackedMatMulKernel* kernel =
          bits == 4 ? variant.packed_int4_matmul : variant.packed_int8_matmul;
      const auto packed = std::make_shared<Packed>(*kernel, bits, m, k, n, n == 192 || n == 96);
      Prepare(*kernel, packed.get());  // so that memory is there, as it is for nodes
      char name[96];
      snprintf(name, sizeof(name), "PackedInt%dMatMul%s %zu x %zu x %zu%s", bits == 4 ? 4 : 8,
               packed->op.residual_multiplier != nullptr ? "Add" : "", m, k, n,
               bits == 7 ? ", 7 bits" : "");
      cases->push_back({name, double(m * k * n), true, [=] { Run(*kernel, packed.get()); }});
    }
  }
}

void AddAttention(const Variant& variant, std::vector<Case>* cases) {
  const size_t shapes[][3] = {{3, 197, 64}, {12, 197, 64}, {192, 49, 32}};
  for (const auto& [heads, tokens, d] : shapes) {
    const size_t count = heads * tokens * d;
    const size_t pairs = heads * tokens * tokens;
    const auto q = std::make_shared<Vector<int8_t>>(Random<int8_t>(count, -128, 127));
    const auto w = std::make_shared<Vector<uint8_t>>(Random<uint8_t>(pairs, 0, 255));
    const auto logits = std::make_shared<Vector<int32_t>>(pairs);
    const auto y = std::make_shared<Vector<int8_t>>(count);
    char shape[64];
    snprintf(shape, sizeof(shape), " %zu x %zu x %zu", heads, tokens, d);
    const size_t h = heads, t = tokens, depth = d;
    const auto product = variant.int_matmul;
    cases->push_back({std::string("IntMatMul") + shape, double(pairs * d), true, [=] {
                        for (size_t i = 0; i < h; ++i) {
                          const int8_t* x = q->data() + i * t * depth;
                          product({t, t, depth, x, depth, x, depth, logits->data() + i * t * t, t});
                        }
                      }});
    const auto mean = variant.weighted_mean;
    cases->push_back({std::string("IntWeightedMean") + shape, double(pairs * d), true, [=] {
                        for (size_t i = 0; i < h; ++i) {
                          mean({-7, 20000, 8, t, t, depth, w->data() + i * t * t, t,
                                q->data() + i * t * depth, depth, y->data() + i * t * depth,
                                depth});
                        }
                      }});
    for (const bool log2 : {false, true}) {
      const auto softmax = variant.softmax2n;
      const std::string name = log2 ? "IntSoftmax2n (log2)" : "IntSoftmax2n";
      cases->push_back({name + shape, double(pairs), false, [=] {
                          softmax({5, 20000, log2}, {logits->data(), t, h * t, t, w->data(), t});
                        }});
    }
    const auto bias = std::make_shared<Vector<int16_t>>(Random<int16_t>(pairs, -999, 999));
    const auto mask = std::make_shared<Vector<uint8_t>>(pairs);
    cases->push_back({std::string("IntSoftmax2nBias") + shape, double(pairs), false,
                      [=, softmax = variant.softmax2n_bias] {
                        softmax({5, 20000, false}, logits->data(), bias->data(), mask->data(),
                                h * t, t, w->data());
                      }});
  }
}

// As IntAttention and IntWindowAttention run them, with the heads of one image.
void AddFusedAttention(const Variant& variant, std::vector<Case>* cases) {
  for (const size_t heads : {3, 12}) {
    const size_t tokens = 197, depth = 64, width = heads * depth;
    const auto qkv = std::make_shared<Vector<int8_t>>(Random<int8_t>(tokens * 3 * width, -64, 63));
    const auto y = std::make_shared<Vector<int8_t>>(tokens * width);
    Attention shape = {};
    shape.tokens = tokens;
    shape.depth = depth;
    const auto scratch = std::make_shared<Vector<uint8_t>>(variant.attention->scratch_bytes(shape));
    const auto run = [=, &variant] {
      for (size_t head = 0; head < heads; ++head) {
        const int8_t* q = qkv->data() + head * depth;
        const Attention op = {{{5, 20000, false}, -7, 20000, 8},
                              tokens,
                              tokens,
                              depth,
                              q,
                              q + width,
                              q + 2 * width,
                              3 * width,
                              y->data() + head * depth,
                              width,
                              nullptr,
                              nullptr,
                              nullptr};
        variant.attention->run(variant, op, scratch->data());
      }
    };
    char name[64];
    snprintf(name, sizeof(name), "IntAttention %zu x %zu x %zu", heads, tokens, depth);
    cases->push_back({name, double(2 * tokens * tokens * width), true, run});
  }
  const size_t windows = 8, window = 7, side = windows * window, places = window * window;
  const size_t heads = 3, depth = 32, width = heads * depth;
  const auto qkv =
      std::make_shared<Vector<int8_t>>(Random<int8_t>(side * side * 3 * width, -64, 63));
  const auto y = std::make_shared<Vector<int8_t>>(side * side * width);
  const auto bias =
      std::make_shared<Vector<int16_t>>(Random<int16_t>(heads * places * places, -999, 999));
  const auto mask = std::make_shared<Vector<uint8_t>>(places * places);
  WindowAttention shape = {};
  shape.softmax = {5, 20000, false};
  shape.mean_shift = -7;
  shape.mean_multiplier = 20000;
  shape.y_bits = 8;
  shape.window_height = shape.window_width = window;
  shape.roll_height = shape.roll_width = 3;
  shape.height = shape.width = side;
  shape.heads = heads;
  shape.depth = depth;
  const auto scratch =
      std::make_shared<Vector<uint8_t>>(WindowAttentionScratchBytes(variant, shape));
  const auto run = [=, &variant] {
    WindowAttention op = shape;
    op.bias = bias->data();
    op.qkv = qkv->data();
    op.y = y->data();
    for (size_t i = 0; i < windows * windows; ++i) {
      RunWindowAttention(variant, op, i / windows, i % windows, mask->data(), scratch->data());
    }
  };
  cases->push_back(
      {"IntWindowAttention 64 x 3 x 49 x 32", double(2 * side * side * places * width), true, run});
}

void AddPackedForms(const Variant& variant, std::vector<Case>* cases) {
  const size_t m = 197, k = 192, n = 768;
  const auto table = std::make_shared<Vector<int8_t>>(Random<int8_t>(4 * 256, -128, 127));
  const auto sums = std::make_shared<Vector<int32_t>>(m * n);
  for (const int bits : {4, 8}) {
    const PackedMatMulKernel* kernel =
        bits == 4 ? variant.packed_int4_matmul : variant.packed_int8_matmul;
    const auto packed = std::make_shared<Packed>(*kernel, bits, m, k, n, false);
    Prepare(*kernel, packed.get());
    char name[64];
    snprintf(name, sizeof(name), "PackedInt%dMatMulGELU %zu x %zu x %zu", bits, m, k, n);
    const auto run = [=, &variant] {
      Prepare(*kernel, packed.get());
      const GeluTables tables = {table->data(), n / 4};
      RunMatMulGelu(variant, *kernel, packed->op, packed->block, tables, packed->y.data());
    };
    cases->push_back({name, double(m * k * n), true, run});
    if (bits == 8) {
      snprintf(name, sizeof(name), "PackedInt8MatMulToInt32 %zu x %zu x %zu", m, k, n);
      cases->push_back({name, double(m * k * n), true,
                        [=] { kernel->run_to_int32(packed->op, packed->block, sums->data()); }});
    }
  }
}

// What ops of rows [rows, channels] read and fix, and where they write.
struct Rows {
  size_t rows, channels;
  Vector<int8_t> a, b, y, shift;
  Vector<int16_t> ones, multiplier;
  Vector<int32_t> right, rounding, left, upper;

  Rows(size_t rows_, size_t channels_)
      : rows(rows_),
        channels(channels_),
        a(Random<int8_t>(rows * channels, -128, 127)),
        b(Random<int8_t>(rows * channels, -128, 127)),
        y(rows * channels) {
    const size_t padded = PaddedChannels(channels);
    shift.assign(padded, 13);
    ones.assign(padded, 1);
    multiplier.assign(padded, 20000);
    right.assign(padded, 13);
    rounding.assign(padded, 1 << 12);
    left.assign(padded, 0);
    upper.assign(padded, 3);
  }

  LayerNorm norm(Norm norm) const {
    return {norm,
            channels,
            100,
            8,
            ones.data(),
            {shift.data(), multiplier.data(), right.data(), rounding.data(), left.data(),
             upper.data(), false},
            ones.data()};
  }
};

void AddRowwise(const Variant& variant, std::vector<Case>* cases) {
  const size_t tokens = 197;
  for (const size_t channels : {192, 768}) {
    const auto data = std::make_shared<Rows>(tokens, channels);
    const auto add = [&](const char* op, std::function<void()> run) {
      char name[64];
      snprintf(name, sizeof(name), "%s %zu x %zu", op, tokens, channels);
      cases->push_back({name, double(tokens * channels), false, std::move(run)});
    };
    add("IntLayerNorm", [=, run = variant.norm] {
      run(data->norm(Norm::kLayer), data->a.data(), tokens, data->y.data());
    });
    add("IntRMSNorm", [=, run = variant.norm] {
      run(data->norm(Norm::kRms), data->a.data(), tokens, data->y.data());
    });
    add("IntAdd", [=, sum = variant.add] {
      const int16_t* multiplier = data->multiplier.data();
      sum({channels, multiplier, multiplier, 8},
          {0, tokens, data->a.data(), data->b.data(), tokens, data->y.data()});
    });
  }
}

void AddPointwise(const Variant& variant, std::vector<Case>* cases) {
  const auto table = std::make_shared<Vector<int8_t>>(Random<int8_t>(256, -128, 127));
  for (const size_t width : {768, 3072}) {
    const auto data = std::make_shared<Rows>(197, width);
    const size_t count = data->a.size();
    const std::string shape = " 197 x " + std::to_string(width);
    cases->push_back({"IntGELU" + shape, double(count), false, [=, gelu = variant.gelu] {
                        gelu(table->data(), {1, count, 0, data->a.data(), data->y.data()});
                      }});
    cases->push_back({"IntGate" + shape, double(count), false, [=, gate = variant.gate] {
                        gate({-100, 0, 5, 20000, 8}, data->a.data(), data->b.data(), count,
                             data->y.data());
                      }});
  }
}

// Of queries or keys of all heads, token by token, with one table for all of them.
void AddRotary(const Variant& variant, std::vector<Case>* cases) {
  const size_t heads = 6, tokens = 201, depth = 64;
  const auto data = std::make_shared<Rows>(heads * tokens, depth);
  const auto tables =
      std::make_shared<Vector<int16_t>>(Random<int16_t>(2 * tokens * depth, -16384, 16384));
  for (const bool pairs : {true, false}) {
    const std::string name = pairs ? "IntRotary 6 x 201 x 64" : "IntRotary (halves) 6 x 201 x 64";
    cases->push_back({name, double(data->a.size()), false, [=, rotary = variant.rotary] {
                        const int16_t* cos = tables->data();
                        rotary(
                            {depth, pairs, heads, tokens, cos, cos + tokens * depth, 5, 20000, 8},
                            {0, heads * tokens, data->a.data(), data->y.data()});
                      }});
  }
}

}  // namespace

std::vector<Case> MakeCases(const Variant& variant) {
  std::vector<Case> cases;
  AddPacked(variant, &cases);
  AddAttention(variant, &cases);
  AddFusedAttention(variant, &cases);
  AddPackedForms(variant, &cases);
  AddRowwise(variant, &cases);
  AddPointwise(variant, &cases);
  AddRotary(variant, &cases);
  return cases;
}

}  // namespace pqv
