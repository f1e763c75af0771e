#include "runner/resize.h"

#include <math.h>

namespace pqv {

namespace {

constexpr int kFractionBits = 22;  // of a weight: 32 bits less those of a pixel and two to spare

struct Kernel {
  double support;
  double (*weight)(double x);
};

double Bilinear(double x) {
  x = x < 0 ? -x : x;
  return x < 1 ? 1 - x : 0;
}

// Keys (1981) with a = -0.5.
double Bicubic(double x) {
  constexpr double kA = -0.5;
  x = x < 0 ? -x : x;
  if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0;
}

double Sinc(double x) {
  if (x == 0) return 1;
  x *= 3.14159265358979323846;
  return sin(x) / x;
}

double Lanczos(double x) { return x >= -3 && x < 3 ? Sinc(x) * Sinc(x / 3) : 0; }

Kernel KernelOf(Filter filter) {
  switch (filter) {
    case Filter::kBilinear:
      return {1, Bilinear};
    case Filter::kBicubic:
      return {2, Bicubic};
    default:
      return {3, Lanczos};
  }
}

// What one place of the output takes of the input: `count` places from `first` on.
struct Window {
  size_t first;
  size_t count;
  size_t weights;  // index of the first weight
};

struct Weights {
  Buffer<Window> windows;
  Buffer<int32_t> fixed;  // kFractionBits behind the point
};

Weights MakeWeights(size_t from, size_t to, const Kernel& kernel) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double widening = scale < 1 ? 1 : scale;
  const double support = kernel.support * widening;
  Weights made;
  Buffer<double> exact;
  for (size_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const double low = center - support + 0.5;
    const size_t first = low > 0 ? static_cast<size_t>(low) : 0;
    const size_t high = static_cast<size_t>(center + support + 0.5);
    const size_t count = (high < from ? high : from) - first;
    exact.Resize(count);
    double sum = 0;
    for (size_t j = 0; j < count; ++j) {
      const double at = static_cast<double>(j + first) - center + 0.5;
      exact[j] = kernel.weight(at * (1.0 / widening));
      sum += exact[j];
    }
    made.windows.Append({first, count, made.fixed.size()});
    for (size_t j = 0; j < count; ++j) {
      const double weight = (sum != 0 ? exact[j] / sum : exact[j]) * (1 << kFractionBits);
      made.fixed.Append(static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5));
    }
  }
  return made;
}

// A weighted sum of bytes that lie `stride` apart.
uint8_t Sum(const uint8_t* pixels, size_t stride, const int32_t* weights, size_t count) {
  int32_t sum = 1 << (kFractionBits - 1);
  for (size_t i = 0; i < count; ++i) sum += pixels[i * stride] * weights[i];
  sum >>= kFractionBits;
  return static_cast<uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

Image ResizeAcross(const Image& image, size_t width, const Kernel& kernel) {
  const Weights weights = MakeWeights(image.width, width, kernel);
  const size_t channels = image.channels;
  Image made = {width, image.height, channels, Buffer<uint8_t>(width * image.height * channels)};
  for (size_t y = 0; y < image.height; ++y) {
    const uint8_t* row = image.pixels.data() + y * image.RowBytes();
    uint8_t* out = made.pixels.data() + y * made.RowBytes();
    for (const Window& window : weights.windows) {
      for (size_t c = 0; c < channels; ++c) {
        *out++ = Sum(row + window.first * channels + c, channels,
                     weights.fixed.data() + window.weights, window.count);
      }
    }
  }
  return made;
}

Image ResizeDown(const Image& image, size_t height, const Kernel& kernel) {
  const Weights weights = MakeWeights(image.height, height, kernel);
  const size_t stride = image.RowBytes();
  Image made = {image.width, height, image.channels, Buffer<uint8_t>(stride * height)};
  uint8_t* out = made.pixels.data();
  for (const Window& window : weights.windows) {
    for (size_t x = 0; x < stride; ++x) {
      *out++ = Sum(image.pixels.data() + window.first * stride + x, stride,
                   weights.fixed.data() + window.weights, window.count);
    }
  }
  return made;
}

}  // namespace

Image Resize(const Image& image, size_t width, size_t height, Filter filter) {
  const Kernel kernel = KernelOf(filter);
  const bool across = width != image.width;
  const bool down = height != image.height;
  const size_t rows = image.height > height ? image.height - height : 0;
  const size_t columns = image.width > width ? image.width - width : 0;
  if (across && rows > 2 * columns) {
    return ResizeAcross(ResizeDown(image, height, kernel), width, kernel);
  }
  if (across && down) return ResizeDown(ResizeAcross(image, width, kernel), height, kernel);
  if (across) return ResizeAcross(image, width, kernel);
  if (down) return ResizeDown(image, height, kernel);
  Image copy = {width, height, image.channels, {}};
  copy.pixels.Append(image.pixels.data(), image.pixels.size());
  return copy;
}

}  // namespace pqv
