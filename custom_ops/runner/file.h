// Whole files.

#ifndef PQV_RUNNER_FILE_H_
#define PQV_RUNNER_FILE_H_

#include <stdint.h>

#include "runner/buffer.h"

namespace pqv {

// The bytes of a file. Ends the program if it cannot be read or has more than 1 GiB.
Buffer<uint8_t> ReadFile(const char* path);

// Ends the program if there can be no such file: asked before the work, not after it.
void CheckWritable(const char* path);

// Writes a file under a temporary name and renames it, so that it is whole or not there; follows
// links, and writes into devices and pipes. Ends the program if it cannot be written.
void WriteFile(const char* path, const void* bytes, size_t count);

}  // namespace pqv

#endif  // PQV_RUNNER_FILE_H_
