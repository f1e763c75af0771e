// onnxruntime, loaded while the program runs, and the op library.

#ifndef PQV_RUNNER_RUNTIME_H_
#define PQV_RUNNER_RUNTIME_H_

#include "ort/c_api.h"
#include "runner/options.h"

namespace pqv {

// Made once per process. Whatever fails ends the program.
class Runtime {
 public:
  // Finds onnxruntime and, unless the options do without it, the op library.
  explicit Runtime(const Options& options);
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const OrtApi& api() const { return *api_; }
  const char* version() const { return version_; }
  OrtEnv* env() const { return env_; }
  bool has_library() const { return library_ != nullptr; }

  // New session options, which are the caller's to release. With a prefix, onnxruntime writes a
  // profile into a file whose name begins so.
  OrtSessionOptions* MakeSessionOptions(const char* profile_prefix) const;

  // Ends the program if a call of onnxruntime failed. `what` tells what failed: a file, mostly.
  void Check(OrtStatus* status, const char* what) const;

 private:
  void LoadOnnxruntime(const char* path);

  const OrtApi* api_ = nullptr;
  const char* version_ = nullptr;
  const char* library_ = nullptr;
  unsigned threads_;
  OrtEnv* env_ = nullptr;
};

}  // namespace pqv

#endif  // PQV_RUNNER_RUNTIME_H_
