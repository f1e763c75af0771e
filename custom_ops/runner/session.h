// A model in onnxruntime, which is loaded while the program runs.

#ifndef PQV_RUNNER_SESSION_H_
#define PQV_RUNNER_SESSION_H_

#include <stdint.h>

#include "ort/c_api.h"
#include "runner/buffer.h"
#include "runner/options.h"

namespace pqv {

// An input or output of the model. A dimension that the model leaves open counts as 1.
struct Port {
  const char* name = nullptr;
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  Buffer<int64_t> shape;

  size_t ElementCount() const;
  size_t ByteCount() const;
};

// The name of an element type, and the bytes of one; 0 for types that this program cannot handle.
const char* TypeName(ONNXTensorElementDataType type);
size_t TypeBytes(ONNXTensorElementDataType type);

// A model with one input and one output, made once per process. Whatever fails ends the program.
class Session {
 public:
  // Finds onnxruntime and the op library and loads the model.
  explicit Session(const Options& options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const char* onnxruntime_version() const { return version_; }
  const Port& input() const { return input_; }
  const Port& output() const { return output_; }

  // Runs the model on `input().ByteCount()` bytes. The result is valid until the next run.
  const void* Run(const void* input);

 private:
  void LoadOnnxruntime(const char* path);
  OrtSessionOptions* MakeOptions(const Options& options);
  void ReadPorts();
  void Check(OrtStatus* status, const char* what);

  const OrtApi* api_ = nullptr;
  const char* version_ = nullptr;
  const char* model_;
  OrtEnv* env_ = nullptr;
  OrtSession* session_ = nullptr;
  OrtMemoryInfo* memory_ = nullptr;
  OrtValue* result_ = nullptr;
  Port input_;
  Port output_;
};

}  // namespace pqv

#endif  // PQV_RUNNER_SESSION_H_
