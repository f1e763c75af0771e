#include "runner/image.h"

#include <dlfcn.h>

#include "runner/decoder.h"
#include "runner/fail.h"
#include "runner/file.h"

namespace pqv {

void CheckImageSize(const char* path, size_t width, size_t height, const char* what) {
  constexpr size_t kMaxSide = 65535;
  constexpr size_t kMaxPixels = size_t{1} << 27;
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide ||
      width * height > kMaxPixels) {
    Fail("%s: the image has %zu x %zu pixels %s, expected at most %zu on a side and %zu in all",
         path, width, height, what, kMaxSide, kMaxPixels);
  }
}

Rgbx MakeRgbx(const char* path, size_t width, size_t height) {
  CheckImageSize(path, width, height, "in its file");
  return {width, height, Buffer<uint8_t>(width * height * 4)};
}

DecoderLibrary::DecoderLibrary(const char* path, const char* library, const char* package)
    : path_(path), handle_(dlopen(library, RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) {
    Fail("%s: this system has no %s to decode it with (%s)", path, library, package);
  }
}

void* DecoderLibrary::Symbol(const char* name) const {
  void* symbol = dlsym(handle_, name);
  if (symbol == nullptr) Fail("%s: this system's decoder is too old: it has no %s", path_, name);
  return symbol;
}

namespace {

// Luma of ITU-R BT.601 in 16 fraction bits, as Pillow has it; grey stays what it is.
uint8_t Grey(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

}  // namespace

Image ReadImage(const char* path, size_t channels) {
  const Rgbx decoded = Decode(path, ReadFile(path));
  const size_t count = decoded.width * decoded.height;
  Image image = {decoded.width, decoded.height, channels, Buffer<uint8_t>(count * channels)};
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* from = decoded.pixels.data() + 4 * i;
    if (channels == 1) {
      image.pixels[i] = Grey(from);
    } else {
      memcpy(image.pixels.data() + 3 * i, from, 3);
    }
  }
  return image;
}

}  // namespace pqv
