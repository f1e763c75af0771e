// A model in onnxruntime.

#ifndef PQV_RUNNER_SESSION_H_
#define PQV_RUNNER_SESSION_H_

#include <stdint.h>

#include "runner/port.h"
#include "runner/runtime.h"

namespace pqv {

// What a model made of an input; valid until its next run.
struct Result {
  const void* data;
  size_t count;  // of elements
};

// A model with one input. Of several outputs only the first is computed. Whatever fails ends the
// program.
class Session {
 public:
  // Loads a model from a file.
  Session(const Runtime& runtime, const char* path, const char* profile_prefix = nullptr);
  // Loads a model from memory; `name` is for errors.
  Session(const Runtime& runtime, const char* name, const void* bytes, size_t size);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  const Port& input() const { return input_; }
  const Port& output() const { return output_; }

  // Runs the model on one of some inputs.
  Result Run(const Inputs& inputs, size_t index = 0);

  // The value of an entry of the model's metadata, for good; null if it has no such entry.
  const char* Metadata(const char* key) const;

  // Ends the profile and returns the path of its file.
  const char* EndProfiling();

 private:
  void ReadPorts();
  void ReadPort(OrtTypeInfo* info, Port* port);
  void CheckSize(const Port& port) const;

  const Runtime& runtime_;
  const OrtApi& api_;
  const char* name_;
  OrtAllocator* allocator_ = nullptr;
  OrtSession* session_ = nullptr;
  OrtMemoryInfo* memory_ = nullptr;
  OrtValue* result_ = nullptr;
  Port input_;
  Port output_;
};

}  // namespace pqv

#endif  // PQV_RUNNER_SESSION_H_
