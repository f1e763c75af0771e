// Image files as pixels.

#ifndef PQV_RUNNER_IMAGE_H_
#define PQV_RUNNER_IMAGE_H_

#include <stdint.h>

#include "runner/buffer.h"

namespace pqv {

// Rows of pixels of `channels` bytes: 3 for red, green and blue, 1 for grey.
struct Image {
  size_t width;
  size_t height;
  size_t channels;
  Buffer<uint8_t> pixels;

  size_t RowBytes() const { return width * channels; }
};

// Ends the program if an image, as its file or as resizing has it, takes too much memory. The
// limits are those of pqv_onnx/runtime/preprocess.py.
void CheckImageSize(const char* path, size_t width, size_t height, const char* what);

// Decodes a JPEG or PNG file by what the system has, which is loaded for it: AImageDecoder on
// Android (API level 30), elsewhere libturbojpeg and libpng. Transparency is dropped. Ends the
// program if the file is no such image or there is no decoder.
Image ReadImage(const char* path, size_t channels);

}  // namespace pqv

#endif  // PQV_RUNNER_IMAGE_H_
