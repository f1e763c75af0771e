// What differs between operating systems.

#ifndef PQV_BINDINGS_SYSTEM_H_
#define PQV_BINDINGS_SYSTEM_H_

#include <stddef.h>

#if defined(_WIN32)
#define PQV_EXPORT __declspec(dllexport)
#else
#define PQV_EXPORT __attribute__((visibility("default")))
#endif

namespace pqv {

// Memory aligned to 64 bytes, enough for any vector. Null if it cannot be had.
void* AllocateAligned(size_t bytes);
void FreeAligned(void* memory);

// Lets another thread run.
void YieldThread();

// Keeps the library loaded until the process ends. On Linux and Android the linker sees to it.
void StayLoaded();

}  // namespace pqv

#endif  // PQV_BINDINGS_SYSTEM_H_
