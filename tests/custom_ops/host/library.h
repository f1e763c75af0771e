// An op library, loaded as onnxruntime does it.

#ifndef PQV_TESTS_CUSTOM_OPS_HOST_LIBRARY_H_
#define PQV_TESTS_CUSTOM_OPS_HOST_LIBRARY_H_

#include "host/stand_in.h"
#include "host/system.h"

namespace pqv {

using RegisterFunction = OrtStatus* (*)(OrtSessionOptions*, const OrtApiBase*);

inline void* LoadOps(const char* path) {
  void* library = OpenLibrary(path);
  if (library == nullptr) Fail("%s", LibraryError());
  return library;
}

// Registers the ops by a function found as `name` under `handle`.
inline void RegisterOps(void* handle, const char* name, OrtSessionOptions* options) {
  const auto function = reinterpret_cast<RegisterFunction>(FindFunction(handle, name));
  if (function == nullptr) Fail("the library exports no %s", name);
  OrtStatus* status = function(options, StandIn());
  if (status != nullptr) Fail("%s: %s", name, status->message);
}

}  // namespace pqv

#endif  // PQV_TESTS_CUSTOM_OPS_HOST_LIBRARY_H_
