// JPEG by libjpeg-turbo's TurboJPEG interface, PNG by libpng's simplified one.

#include "runner/decoder.h"
#include "runner/fail.h"

namespace pqv {

namespace {

Rgbx DecodeJpeg(const char* path, const Buffer<uint8_t>& bytes) {
  constexpr int kPixelFormat = 2;  // TJPF_RGBX
  constexpr int kWarning = 0;      // TJERR_WARNING
  constexpr int kCmyk = 3;         // TJCS_CMYK, and TJCS_YCCK behind it
  const DecoderLibrary library(path, "libturbojpeg.so.0", "libturbojpeg0");
  void* (*make)();
  int (*read_header)(void*, const unsigned char*, unsigned long, int*, int*, int*, int*);
  int (*decode)(void*, const unsigned char*, unsigned long, unsigned char*, int, int, int, int,
                int);
  library.Find("tjInitDecompress", &make);
  library.Find("tjDecompressHeader3", &read_header);
  int (*severity)(void*);
  char* (*error_of)(void*);
  library.Find("tjDecompress2", &decode);
  library.Find("tjGetErrorCode", &severity);
  library.Find("tjGetErrorStr2", &error_of);
  void* decoder = make();
  int width = 0;
  int height = 0;
  int sampling = 0;
  int colors = 0;
  if (decoder == nullptr ||
      read_header(decoder, bytes.data(), bytes.size(), &width, &height, &sampling, &colors) != 0) {
    Fail("%s: not an image that can be read", path);
  }
  if (colors >= kCmyk) Fail("%s: a JPEG image of CMYK, expected RGB or grey", path);
  Rgbx image = MakeRgbx(path, static_cast<size_t>(width), static_cast<size_t>(height));
  if (decode(decoder, bytes.data(), bytes.size(), image.pixels.data(), width, 0, height,
             kPixelFormat, 0) != 0) {
    const char* sentence = error_of(decoder);
    const bool is_cut_off = strncmp(sentence, "Premature end", 13) == 0;
    if (severity(decoder) != kWarning || is_cut_off) {
      Fail("%s: not an image that can be read: %s", path, sentence);
    }
  }
  return image;
}

bool IsColorSpace(const uint8_t* chunk_name) {
  const char* const names[] = {"gAMA", "cHRM", "iCCP", "sRGB"};
  for (const char* name : names) {
    if (memcmp(chunk_name, name, 4) == 0) return true;
  }
  return false;
}

// A PNG file without what it says of its colours: numbers are taken as they are, as Pillow does.
Buffer<uint8_t> WithoutColorSpace(const Buffer<uint8_t>& bytes) {
  constexpr size_t kSignature = 8;
  constexpr size_t kAround = 12;  // length, name and checksum of a chunk
  Buffer<uint8_t> kept;
  kept.Append(bytes.data(), kSignature);
  for (size_t at = kSignature; at < bytes.size();) {
    const uint8_t* chunk = bytes.data() + at;
    const size_t rest = bytes.size() - at;
    size_t size = rest;  // of what is cut off, which libpng refuses
    if (rest >= kAround) {
      const size_t length = size_t{chunk[0]} << 24 | chunk[1] << 16 | chunk[2] << 8 | chunk[3];
      size = length + kAround < rest ? length + kAround : rest;
    }
    if (rest < kAround || !IsColorSpace(chunk + 4)) kept.Append(chunk, size);
    at += size;
  }
  return kept;
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

Rgbx DecodePng(const char* path, const Buffer<uint8_t>& file) {
  constexpr size_t kDepth = 24;  // where the bits of a number are
  if (file.size() > kDepth && file[kDepth] == 16) {
    Fail("%s: a PNG image of 16 bits, expected 8", path);
  }
  constexpr uint32_t kVersion = 1;
  constexpr uint32_t kRgba = 3;  // PNG_FORMAT_RGBA
  const DecoderLibrary library(path, "libpng16.so.16", "libpng16-16");
  int (*begin)(PngImage*, const void*, size_t);
  int (*finish)(PngImage*, const void*, void*, int32_t, void*);
  library.Find("png_image_begin_read_from_memory", &begin);
  library.Find("png_image_finish_read", &finish);
  PngImage png;
  const Buffer<uint8_t> bytes = WithoutColorSpace(file);
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
  if (bytes.size() >= 8 && memcmp(bytes.data(), "\x89PNG", 4) == 0) return DecodePng(path, bytes);
  if (bytes.size() >= 2 && memcmp(bytes.data(), "\xff\xd8", 2) == 0) return DecodeJpeg(path, bytes);
  Fail("%s: neither a JPEG nor a PNG image", path);
}

}  // namespace pqv
