// Android's own decoder, AImageDecoder, from API level 30 on.

#include "runner/decoder.h"
#include "runner/fail.h"

namespace pqv {

Rgbx Decode(const char* path, const Buffer<uint8_t>& bytes) {
  constexpr int kRgba8888 = 1;  // ANDROID_BITMAP_FORMAT_RGBA_8888
  const DecoderLibrary library(path, "libjnigraphics.so",
                               "Android 11; before that, give .npy or .raw files");
  int (*make)(const void*, size_t, void**);
  int (*set_format)(void*, int32_t);
  int (*set_unpremultiplied)(void*, bool);
  const void* (*header)(const void*);
  int32_t (*get_width)(const void*);
  int32_t (*get_height)(const void*);
  int (*decode)(void*, void*, size_t, size_t);
  library.Find("AImageDecoder_createFromBuffer", &make);
  library.Find("AImageDecoder_setAndroidBitmapFormat", &set_format);
  library.Find("AImageDecoder_setUnpremultipliedRequired", &set_unpremultiplied);
  library.Find("AImageDecoder_getHeaderInfo", &header);
  library.Find("AImageDecoderHeaderInfo_getWidth", &get_width);
  library.Find("AImageDecoderHeaderInfo_getHeight", &get_height);
  library.Find("AImageDecoder_decodeImage", &decode);
  void* decoder = nullptr;
  if (make(bytes.data(), bytes.size(), &decoder) != 0 || set_format(decoder, kRgba8888) != 0 ||
      set_unpremultiplied(decoder, true) != 0) {
    Fail("%s: not an image that can be read", path);
  }
  Rgbx image = MakeRgbx(path, static_cast<size_t>(get_width(header(decoder))),
                        static_cast<size_t>(get_height(header(decoder))));
  if (decode(decoder, image.pixels.data(), image.width * 4, image.pixels.size()) != 0) {
    Fail("%s: not an image that can be read", path);
  }
  return image;
}

}  // namespace pqv
