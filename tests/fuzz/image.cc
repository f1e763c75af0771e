// Bytes for the model's input and for the size of an image, a line for each entry of the metadata,
// and the pixels: what prepares images for a model.

#include <string.h>

#include "fuzz/bytes.h"
#include "fuzz/fail.h"
#include "fuzz/session.h"
#include "runner/decoder.h"
#include "runner/file.h"
#include "runner/metadata.h"
#include "runner/preprocess.h"

namespace {

constexpr const char* kEntries[] = {"input_size",    "mean",      "std",   "crop_pct",
                                    "interpolation", "crop_mode", "input", "layout"};

pqv::Bytes left(nullptr, 0);
size_t image_width = 0;
size_t image_height = 0;

// The model's input: its kind, then its channels, height and width.
void ReadPort() {
  const uint8_t kind = left.Byte();
  const int64_t channels = left.Byte();
  const int64_t height = left.Byte();
  const int64_t width = left.Byte();
  const int64_t nchw[] = {1, channels, height, width};
  const int64_t nhwc[] = {1, height, width, channels};
  pqv::Port& port = pqv::fake_input;
  port.type =
      kind % 4 == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
  port.shape.Resize(0);
  if (kind % 4 == 3) {
    port.shape.Append(nhwc + 1, 3);
  } else {
    port.shape.Append(kind % 4 == 2 ? nhwc : nchw, 4);
  }
}

// Whether it takes neither much memory nor much time, which the limits of images allow.
bool IsSmall(const pqv::Preprocessing& wanted) {
  return static_cast<double>(wanted.width * wanted.height) / (wanted.crop * wanted.crop) < 1e5;
}

}  // namespace

namespace pqv {

Buffer<uint8_t> ReadFile(const char*) { return Buffer<uint8_t>(); }

// The pixels, again and again.
Rgbx Decode(const char* path, const Buffer<uint8_t>&) {
  Rgbx image = MakeRgbx(path, image_width, image_height);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = left.empty() ? 0 : left.data()[i % left.size()];
  }
  return image;
}

}  // namespace pqv

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  left = pqv::Bytes(data, size);
  ReadPort();
  image_width = left.Byte();
  image_height = left.Byte();
  pqv::fake_metadata.clear();
  for (const char* entry : kEntries) {
    const std::string line = left.Line();
    if (line != "-") pqv::fake_metadata[std::string("pqv.") + entry] = line;  // else it has none
  }
  try {
    const pqv::Session session = pqv::MakeFakeSession();
    if (IsSmall(pqv::ReadPreprocessing(session))) pqv::LoadImage("x.png", session);
  } catch (const pqv::Failed&) {
  }
  return 0;
}
