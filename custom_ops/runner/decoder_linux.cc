// JPEG by libjpeg-turbo's TurboJPEG interface, PNG by libpng's simplified one.

#include "runner/decoder.h"
#include "runner/fail.h"

namespace pqv {

namespace {

Rgbx DecodeJpeg(const char* path, const Buffer<uint8_t>& bytes) {
  constexpr int kPixelFormat = 2;  // TJPF_RGBX
  const DecoderLibrary library(path, "libturbojpeg.so.0", "libturbojpeg0");
  void* (*make)();
  int (*read_header)(void*, const unsigned char*, unsigned long, int*, int*, int*, int*);
  int (*decode)(void*, const unsigned char*, unsigned long, unsigned char*, int, int, int, int,
                int);
  library.Find("tjInitDecompress", &make);
  library.Find("tjDecompressHeader3", &read_header);
  library.Find("tjDecompress2", &decode);
  void* decoder = make();
  int width = 0;
  int height = 0;
  int sampling = 0;
  int colors = 0;
  if (decoder == nullptr ||
      read_header(decoder, bytes.data(), bytes.size(), &width, &height, &sampling, &colors) != 0) {
    Fail("%s: not an image that can be read", path);
  }
  Rgbx image = MakeRgbx(path, static_cast<size_t>(width), static_cast<size_t>(height));
  if (decode(decoder, bytes.data(), bytes.size(), image.pixels.data(), width, 0, height,
             kPixelFormat, 0) != 0) {
    Fail("%s: not an image that can be read", path);
  }
  return image;
}

// libpng's png_image, version 1.
struct PngImage {
  void* state;
  uint32_t version;
  uint32_t width;
  uint32_t height;
  uint32_t format;
  uint32_t flags;
  uint32_t colormap_entries;
  uint32_t warning_or_error;
  char message[64];
};

Rgbx DecodePng(const char* path, const Buffer<uint8_t>& bytes) {
  constexpr uint32_t kVersion = 1;
  constexpr uint32_t kRgba = 3;  // PNG_FORMAT_RGBA
  const DecoderLibrary library(path, "libpng16.so.16", "libpng16-16");
  int (*begin)(PngImage*, const void*, size_t);
  int (*finish)(PngImage*, const void*, void*, int32_t, void*);
  library.Find("png_image_begin_read_from_memory", &begin);
  library.Find("png_image_finish_read", &finish);
  PngImage png;
  memset(&png, 0, sizeof(png));
  png.version = kVersion;
  if (begin(&png, bytes.data(), bytes.size()) == 0) {
    Fail("%s: not an image that can be read: %s", path, png.message);
  }
  png.format = kRgba;
  Rgbx image = MakeRgbx(path, png.width, png.height);
  if (finish(&png, nullptr, image.pixels.data(), 0, nullptr) == 0) {
    Fail("%s: not an image that can be read: %s", path, png.message);
  }
  return image;
}

}  // namespace

Rgbx Decode(const char* path, const Buffer<uint8_t>& bytes) {
  if (bytes.size() >= 4 && memcmp(bytes.data(), "\x89PNG", 4) == 0) return DecodePng(path, bytes);
  if (bytes.size() >= 2 && memcmp(bytes.data(), "\xff\xd8", 2) == 0) return DecodeJpeg(path, bytes);
  Fail("%s: neither a JPEG nor a PNG image", path);
}

}  // namespace pqv
