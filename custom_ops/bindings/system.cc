#include "bindings/system.h"

#include <stdlib.h>

#if defined(_WIN32)
#include <malloc.h>
#include <windows.h>
#else
#include <sched.h>
#endif
#if defined(__APPLE__)
#include <dlfcn.h>
#endif

namespace pqv {

namespace {

constexpr size_t kAlignment = 64;

}  // namespace

#if defined(_WIN32)

void* AllocateAligned(size_t bytes) { return _aligned_malloc(bytes, kAlignment); }
void FreeAligned(void* memory) { _aligned_free(memory); }
void YieldThread() { SwitchToThread(); }

void StayLoaded() {
  HMODULE library = nullptr;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                     reinterpret_cast<LPCWSTR>(&StayLoaded), &library);
}

#else

void* AllocateAligned(size_t bytes) {
  void* memory = nullptr;
  return posix_memalign(&memory, kAlignment, bytes) == 0 ? memory : nullptr;
}

void FreeAligned(void* memory) { free(memory); }
void YieldThread() { sched_yield(); }

#if defined(__APPLE__)
void StayLoaded() {
  Dl_info library;
  if (dladdr(reinterpret_cast<const void*>(&StayLoaded), &library) != 0) {
    dlopen(library.dli_fname, RTLD_LAZY | RTLD_NODELETE);
  }
}
#else
void StayLoaded() {}
#endif

#endif

}  // namespace pqv
