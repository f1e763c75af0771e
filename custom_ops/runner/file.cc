#include "runner/file.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

namespace pqv {

Buffer<uint8_t> ReadFile(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) Fail("%s: cannot be read: %s", path, strerror(errno));
  constexpr size_t kChunk = size_t{1} << 20;
  Buffer<uint8_t> bytes;
  size_t used = 0;
  size_t found = 0;
  do {
    bytes.Resize(used + kChunk);
    found = fread(bytes.data() + used, 1, kChunk, file);
    used += found;
  } while (found == kChunk);
  if (ferror(file)) Fail("%s: cannot be read: %s", path, strerror(errno));
  fclose(file);
  bytes.Resize(used);
  return bytes;
}

void WriteFile(const char* path, const void* bytes, size_t count) {
  char temporary[4096];
  const int length = snprintf(temporary, sizeof(temporary), "%s.part", path);
  if (length >= static_cast<int>(sizeof(temporary))) Fail("%.99s...: the path is too long", path);
  FILE* file = fopen(temporary, "wb");
  if (file == nullptr) Fail("%s: cannot be written: %s", path, strerror(errno));
  const bool is_written = fwrite(bytes, 1, count, file) == count;
  if (fclose(file) == 0 && is_written && rename(temporary, path) == 0) return;
  const int error = errno;
  unlink(temporary);
  Fail("%s: cannot be written: %s", path, strerror(error));
}

}  // namespace pqv
