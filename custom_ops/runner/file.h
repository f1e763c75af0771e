// Whole files.

#ifndef PQV_RUNNER_FILE_H_
#define PQV_RUNNER_FILE_H_

#include <stdint.h>

#include "runner/buffer.h"

namespace pqv {

// The bytes of a file. Ends the program if it cannot be read.
Buffer<uint8_t> ReadFile(const char* path);

// Writes a file under a temporary name and renames it, so that it is whole or not there. Ends the
// program if it cannot be written.
void WriteFile(const char* path, const void* bytes, size_t count);

}  // namespace pqv

#endif  // PQV_RUNNER_FILE_H_
