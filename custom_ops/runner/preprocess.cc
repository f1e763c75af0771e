#include "runner/preprocess.h"

#include "runner/fail.h"
#include "runner/resize.h"

namespace pqv {

namespace {

constexpr size_t kMaxChannels = 4;

struct Preprocessing {
  size_t channels;
  size_t height;
  size_t width;
  float mean[kMaxChannels];
  float std[kMaxChannels];
  double crop;
  Filter filter;
  bool is_uint8;
  bool is_nhwc;
};

const char* Entry(const Session& session, const char* key) {
  const char* value = session.Metadata(key);
  if (value == nullptr) Fail("the model's metadata has no %s: give .npy or .raw files", key);
  return value;
}

// The numbers of a JSON list; returns how many there are.
size_t Numbers(const char* text, double* out) {
  size_t count = 0;
  for (const char* at = strchr(text, '['); at != nullptr && count < kMaxChannels;) {
    char* end = nullptr;
    out[count] = strtod(at + 1, &end);
    if (end == at + 1) break;
    ++count;
    at = strchr(end, ',');
  }
  return count;
}

Filter FilterOf(const char* name) {
  if (strcmp(name, "bilinear") == 0) return Filter::kBilinear;
  if (strcmp(name, "lanczos") == 0) return Filter::kLanczos;
  if (strcmp(name, "nearest") == 0) {
    Fail("the model asks for the interpolation nearest, which pqv_run lacks: give .npy files");
  }
  return Filter::kBicubic;
}

Preprocessing ReadMetadata(const Session& session) {
  Preprocessing read = {};
  double numbers[kMaxChannels];
  if (Numbers(Entry(session, "pqv.input_size"), numbers) != 3) {
    Fail("the model's pqv.input_size is malformed, expected three numbers");
  }
  read.channels = static_cast<size_t>(numbers[0]);
  read.height = static_cast<size_t>(numbers[1]);
  read.width = static_cast<size_t>(numbers[2]);
  if (read.channels != 1 && read.channels != 3) {
    Fail("the model takes %zu channels, expected 1 or 3 for an image", read.channels);
  }
  read.is_uint8 = strcmp(Entry(session, "pqv.input"), "uint8") == 0;
  read.is_nhwc = strcmp(Entry(session, "pqv.layout"), "nhwc") == 0;
  read.crop = strtod(Entry(session, "pqv.crop_pct"), nullptr);
  read.filter = FilterOf(Entry(session, "pqv.interpolation"));
  float* const lists[] = {read.mean, read.std};
  const char* const keys[] = {"pqv.mean", "pqv.std"};
  for (size_t list = 0; list < 2; ++list) {
    if (Numbers(Entry(session, keys[list]), numbers) != read.channels) {
      Fail("the model's %s is malformed, expected a number per channel", keys[list]);
    }
    for (size_t c = 0; c < read.channels; ++c) lists[list][c] = static_cast<float>(numbers[c]);
  }
  const size_t count = read.channels * read.height * read.width;
  if (count != session.input().ElementCount() || !(read.crop > 0)) {
    Fail("the model's metadata does not fit its input");
  }
  return read;
}

// Half of a difference, halves to the even side, as Python's round has it.
long Half(size_t larger, size_t smaller) {
  const long difference = static_cast<long>(larger) - static_cast<long>(smaller);
  const long half = difference >> 1;
  return (difference & 1) != 0 && (half & 1) != 0 ? half + 1 : half;
}

// Resizes so that the centre crop is `crop` of the shorter side, and crops it; what lies outside is
// black.
Image Crop(const Image& image, const Preprocessing& wanted) {
  const size_t smaller = wanted.height < wanted.width ? wanted.height : wanted.width;
  const size_t target = static_cast<size_t>(static_cast<double>(smaller) / wanted.crop);
  const size_t shorter = image.width < image.height ? image.width : image.height;
  const auto scaled = [&](size_t side) {
    return static_cast<size_t>(static_cast<double>(target * side) / static_cast<double>(shorter));
  };
  const Image resized = Resize(image, scaled(image.width), scaled(image.height), wanted.filter);
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
  const Preprocessing wanted = ReadMetadata(session);
  const Image image = Crop(ReadImage(path, wanted.channels), wanted);
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
