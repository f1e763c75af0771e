// The decoders of a system.

#ifndef PQV_RUNNER_DECODER_H_
#define PQV_RUNNER_DECODER_H_

#include "runner/image.h"

namespace pqv {

// Pixels of 4 bytes: red, green, blue and one that does not matter.
struct Rgbx {
  size_t width;
  size_t height;
  Buffer<uint8_t> pixels;
};

// Pixels to decode into. Ends the program if the image is too large.
Rgbx MakeRgbx(const char* path, size_t width, size_t height);

// Decodes the bytes of a file, whose path is for errors, which end the program.
Rgbx Decode(const char* path, const Buffer<uint8_t>& bytes);

// A shared library that is loaded to decode images.
class DecoderLibrary {
 public:
  // Ends the program, naming the image, if the library cannot be loaded; `package` is where it is
  // to be had.
  DecoderLibrary(const char* path, const char* library, const char* package);

  // Sets a pointer to a function of the library.
  template <typename Function>
  void Find(const char* name, Function* function) const {
    *function = reinterpret_cast<Function>(Symbol(name));
  }

 private:
  void* Symbol(const char* name) const;

  const char* path_;
  void* handle_;
};

}  // namespace pqv

#endif  // PQV_RUNNER_DECODER_H_
