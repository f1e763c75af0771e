// Reads files on Windows, for which the runner is not written.

#include <stdio.h>

#include "runner/fail.h"
#include "runner/file.h"

namespace pqv {

Buffer<uint8_t> ReadFile(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) Fail("%s: cannot be read", path);
  Buffer<uint8_t> bytes;
  for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
    bytes.Append(static_cast<uint8_t>(byte));
  }
  fclose(file);
  return bytes;
}

}  // namespace pqv
