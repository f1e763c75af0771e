#include "runner/preprocess.h"

#include "runner/metadata.h"
#include "runner/resize.h"

namespace pqv {

namespace {

// Half of a difference, halves to the even side, as Python's round has it.
long Half(size_t larger, size_t smaller) {
  const long difference = static_cast<long>(larger) - static_cast<long>(smaller);
  const long half = difference >> 1;
  return (difference & 1) != 0 && (half & 1) != 0 ? half + 1 : half;
}

// Resizes so that the centre crop is `crop` of the shorter side, and crops it; what lies outside is
// black.
Image Crop(const char* path, const Image& image, const Preprocessing& wanted) {
  const size_t smaller = wanted.height < wanted.width ? wanted.height : wanted.width;
  const size_t target = static_cast<size_t>(static_cast<double>(smaller) / wanted.crop);
  const size_t shorter = image.width < image.height ? image.width : image.height;
  const auto scaled = [&](size_t side) {
    return static_cast<size_t>(static_cast<double>(target * side) / static_cast<double>(shorter));
  };
  const size_t width = scaled(image.width);
  const size_t height = scaled(image.height);
  CheckImageSize(path, width, height, "resized for the model");
  const Image resized = Resize(image, width, height, wanted.filter);
  const long left = Half(resized.width, wanted.width);
  const long top = Half(resized.height, wanted.height);
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

}  // namespace

Buffer<uint8_t> LoadImage(const char* path, const Session& session) {
  const Preprocessing wanted = ReadPreprocessing(session);
  const Image image = Crop(path, ReadImage(path, wanted.channels), wanted);
  const size_t channels = image.channels;
  const size_t places = image.width * image.height;
  Buffer<uint8_t> bytes(session.input().ByteCount());
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < places; ++i) {
      const uint8_t pixel = image.pixels[i * channels + c];
      const size_t at = wanted.is_nhwc ? i * channels + c : c * places + i;
      if (wanted.is_uint8) {
        bytes[at] = pixel;
        continue;
      }
      const float value = (static_cast<float>(pixel) / 255.0f - wanted.mean[c]) / wanted.std[c];
      memcpy(bytes.data() + at * sizeof(value), &value, sizeof(value));
    }
  }
  return bytes;
}

}  // namespace pqv
