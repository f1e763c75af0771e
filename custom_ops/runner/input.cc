#include "runner/input.h"

#include "runner/file.h"
#include "runner/metadata.h"
#include "runner/npy.h"
#include "runner/preprocess.h"

namespace pqv {

namespace {

constexpr const char* kImageSuffixes[] = {".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"};

bool HasSuffix(const char* text, const char* suffix) {
  const size_t length = strlen(text);
  const size_t suffix_length = strlen(suffix);
  return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

// SplitMix64 (Steele, Lea, Flood 2014), which needs no seed worth the name.
uint64_t NextRandom(uint64_t* state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

Buffer<uint8_t> RandomBytes(const Port& port) {
  Buffer<uint8_t> bytes(port.ByteCount());
  uint64_t state = 0;
  if (port.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(NextRandom(&state));
    return bytes;
  }
  for (size_t i = 0; i < port.ElementCount(); ++i) {
    const float value = static_cast<float>(NextRandom(&state) >> 40) / (1 << 22) - 2.0f;
    memcpy(bytes.data() + i * sizeof(value), &value, sizeof(value));
  }
  return bytes;
}

}  // namespace

Inputs ReadInput(const char* path, const Session& session) {
  for (const char* suffix : kImageSuffixes) {
    if (HasSuffix(path, suffix)) return LoadImage(path, session);
  }
  if (TakesImage(session)) {
    Fail("%s: the model takes images, expected a name that ends in .jpg or .png", path);
  }
  const Port& port = session.input();
  const bool is_npy = HasSuffix(path, ".npy");
  if (!is_npy && !HasSuffix(path, ".raw") && !HasSuffix(path, ".bin")) {
    Fail("%s: expected a name that ends in .jpg, .png, .npy, .raw or .bin", path);
  }
  Buffer<uint8_t> bytes = ReadFile(path);
  if (is_npy) StripNpyHeader(path, port, &bytes);
  if (bytes.size() == 0 || bytes.size() % port.ByteCount() != 0) {
    Fail(
        "%s: found %zu bytes of data, expected a multiple of %zu, the size of an input of the "
        "model",
        path, bytes.size(), port.ByteCount());
  }
  const size_t count = bytes.size() / port.ByteCount();
  return {Copy(port.shape), static_cast<Buffer<uint8_t>&&>(bytes), count};
}

Inputs MakeRandomInput(const Session& session) {
  Port port = {session.input().name, session.input().type, Copy(session.input().shape)};
  if (TakesImage(session) && port.shape.size() == 3) {
    port.shape[0] = 480;
    port.shape[1] = 640;
  }
  return {Copy(port.shape), RandomBytes(port), 1};
}

}  // namespace pqv
