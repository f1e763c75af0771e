// Libraries that are loaded by path, on every system that the op library is built for.

#ifndef PQV_TESTS_CUSTOM_OPS_HOST_SYSTEM_H_
#define PQV_TESTS_CUSTOM_OPS_HOST_SYSTEM_H_

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace pqv {

#if defined(_WIN32)

inline void* OpenLibrary(const char* path) { return static_cast<void*>(LoadLibraryA(path)); }

inline void* FindFunction(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

inline const char* LibraryError() { return "the library cannot be loaded"; }

// A path as onnxruntime takes it: there, in wide characters, whatever its declaration says.
inline const char* NativePath(const char* path) {
  static wchar_t wide[1024];
  MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, 1024);
  return reinterpret_cast<const char*>(wide);
}

#else

inline void* OpenLibrary(const char* path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
inline void* FindFunction(void* library, const char* name) { return dlsym(library, name); }
inline const char* LibraryError() { return dlerror(); }
inline const char* NativePath(const char* path) { return path; }

#endif

}  // namespace pqv

#endif  // PQV_TESTS_CUSTOM_OPS_HOST_SYSTEM_H_
