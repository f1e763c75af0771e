#include "runner/preprocess.h"

#include <math.h>

#include "runner/metadata.h"
#include "runner/resize.h"

namespace pqv {

namespace {

struct Size {
  size_t width;
  size_t height;
};

// The size that an image is resized to, as timm rounds it.
Size ResizedSize(const Image& image, const Preprocessing& wanted) {
  const size_t wide = static_cast<size_t>(static_cast<double>(wanted.width) / wanted.crop);
  const size_t high = static_cast<size_t>(static_cast<double>(wanted.height) / wanted.crop);
  if (wanted.squashes) return {wide, high};
  if (wide == high) {
    const size_t shorter = image.width < image.height ? image.width : image.height;
    return {wide * image.width / shorter, high * image.height / shorter};
  }
  const double width = static_cast<double>(image.width);
  const double height = static_cast<double>(image.height);
  const double ratio = fmin(width / static_cast<double>(wide), height / static_cast<double>(high));
  return {static_cast<size_t>(nearbyint(width / ratio)),
          static_cast<size_t>(nearbyint(height / ratio))};
}

// Where the centre of `smaller` places begins in `larger` places, halves to the even side, as
// Python's round has it; below 0 where it is larger.
long Start(size_t larger, size_t smaller) {
  const long excess = static_cast<long>(larger) - static_cast<long>(smaller);
  const long half = excess / 2;
  return excess % 2 == 1 && half % 2 == 1 ? half + 1 : half;
}

// Resizes so that the centre crop is `crop` of it, and crops it; what lies outside is black.
Image Crop(const char* path, const Image& image, const Preprocessing& wanted) {
  const Size size = ResizedSize(image, wanted);
  CheckImageSize(path, size.width, size.height, "resized for the model");
  const Image resized = Resize(image, size.width, size.height, wanted.filter);
  const long left = Start(resized.width, wanted.width);
  const long top = Start(resized.height, wanted.height);
  const size_t channels = image.channels;
  Image made = {wanted.width, wanted.height, channels, {}};
  made.pixels.Resize(made.RowBytes() * made.height);
  memset(made.pixels.data(), 0, made.pixels.size());
  for (size_t y = 0; y < made.height; ++y) {
    const size_t from_y = static_cast<size_t>(static_cast<long>(y) + top);
    if (from_y >= resized.height) continue;
    for (size_t x = 0; x < made.width; ++x) {
      const size_t from_x = static_cast<size_t>(static_cast<long>(x) + left);
      if (from_x >= resized.width) continue;
      memcpy(made.pixels.data() + y * made.RowBytes() + x * channels,
             resized.pixels.data() + from_y * resized.RowBytes() + from_x * channels, channels);
    }
  }
  return made;
}

// An image as it is, for a model that does the rest itself.
Inputs Whole(const char* path, Image image, const Preprocessing& wanted) {
  const Size size = ResizedSize(image, wanted);
  CheckImageSize(path, size.width, size.height, "resized for the model");
  Buffer<int64_t> shape;
  shape.Append(static_cast<int64_t>(image.height));
  shape.Append(static_cast<int64_t>(image.width));
  shape.Append(static_cast<int64_t>(image.channels));
  return {static_cast<Buffer<int64_t>&&>(shape), static_cast<Buffer<uint8_t>&&>(image.pixels), 1};
}

}  // namespace

Inputs LoadImage(const char* path, const Session& session) {
  const Preprocessing wanted = ReadPreprocessing(session);
  Image read = ReadImage(path, wanted.channels);
  if (wanted.kind == InputKind::kImage) return Whole(path, static_cast<Image&&>(read), wanted);
  const Image image = Crop(path, read, wanted);
  const size_t channels = image.channels;
  const size_t places = image.width * image.height;
  Buffer<uint8_t> bytes(session.input().ByteCount());
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < places; ++i) {
      const uint8_t pixel = image.pixels[i * channels + c];
      const size_t at = wanted.is_nhwc ? i * channels + c : c * places + i;
      if (wanted.kind == InputKind::kUint8) {
        bytes[at] = pixel;
        continue;
      }
      const float value = (static_cast<float>(pixel) / 255.0f - wanted.mean[c]) / wanted.std[c];
      memcpy(bytes.data() + at * sizeof(value), &value, sizeof(value));
    }
  }
  return {Copy(session.input().shape), static_cast<Buffer<uint8_t>&&>(bytes), 1};
}

}  // namespace pqv
