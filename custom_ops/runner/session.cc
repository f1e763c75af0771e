#include "runner/session.h"

#include <unistd.h>

#include "runner/fail.h"

namespace pqv {

namespace {

constexpr size_t kMaxPortBytes = size_t{1} << 30;

}  // namespace

Session::Session(const Runtime& runtime, const char* path, const char* profile_prefix)
    : runtime_(runtime), api_(runtime.api()), name_(path) {
  if (access(path, R_OK) != 0) Fail("%s: there is no such file that can be read", path);
  OrtSessionOptions* options = runtime.MakeSessionOptions(profile_prefix);
  runtime_.Check(api_.CreateSession(runtime.env(), path, options, &session_), path);
  api_.ReleaseSessionOptions(options);
  ReadPorts();
}

Session::Session(const Runtime& runtime, const char* name, const void* bytes, size_t size)
    : runtime_(runtime), api_(runtime.api()), name_(name) {
  OrtSessionOptions* options = runtime.MakeSessionOptions(nullptr);
  runtime_.Check(api_.CreateSessionFromArray(runtime.env(), bytes, size, options, &session_), name);
  api_.ReleaseSessionOptions(options);
  ReadPorts();
}

Session::~Session() {
  if (result_ != nullptr) api_.ReleaseValue(result_);
  api_.ReleaseMemoryInfo(memory_);
  api_.ReleaseSession(session_);
}

void Session::ReadPort(OrtTypeInfo* info, Port* port) {
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  runtime_.Check(api_.CastTypeInfoToTensorInfo(info, &tensor), name_);
  if (tensor == nullptr) Fail("%s: %s is not a tensor", name_, port->name);
  runtime_.Check(api_.GetTensorElementType(tensor, &port->type), name_);
  if (TypeBytes(port->type) == 0) {
    Fail("%s: the type of %s is none that pqv_run knows", name_, port->name);
  }
  size_t rank = 0;
  runtime_.Check(api_.GetDimensionsCount(tensor, &rank), name_);
  port->shape.Resize(rank);
  runtime_.Check(api_.GetDimensions(tensor, port->shape.data(), rank), name_);
  for (int64_t& size : port->shape) {
    if (size < 0) size = 1;
  }
  api_.ReleaseTypeInfo(info);
  CheckSize(*port);
}

void Session::CheckSize(const Port& port) const {
  size_t bytes = TypeBytes(port.type);
  for (const int64_t size : port.shape) {
    const bool is_too_large = __builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes);
    if (size == 0 || is_too_large || bytes > kMaxPortBytes) {
      Fail("%s: %s has no elements or too many, expected 1 to %zu bytes", name_, port.name,
           kMaxPortBytes);
    }
  }
}

void Session::ReadPorts() {
  runtime_.Check(api_.CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory_), name_);
  runtime_.Check(api_.GetAllocatorWithDefaultOptions(&allocator_), name_);
  size_t inputs = 0;
  size_t outputs = 0;
  runtime_.Check(api_.SessionGetInputCount(session_, &inputs), name_);
  runtime_.Check(api_.SessionGetOutputCount(session_, &outputs), name_);
  if (inputs != 1 || outputs < 1) {
    Fail("%s: has %zu inputs and %zu outputs, expected one input and an output", name_, inputs,
         outputs);
  }
  char* name = nullptr;
  OrtTypeInfo* info = nullptr;
  runtime_.Check(api_.SessionGetInputName(session_, 0, allocator_, &name), name_);
  runtime_.Check(api_.SessionGetInputTypeInfo(session_, 0, &info), name_);
  input_.name = name;
  ReadPort(info, &input_);
  runtime_.Check(api_.SessionGetOutputName(session_, 0, allocator_, &name), name_);
  runtime_.Check(api_.SessionGetOutputTypeInfo(session_, 0, &info), name_);
  output_.name = name;
  ReadPort(info, &output_);
}

Result Session::Run(const Inputs& inputs, size_t index) {
  if (result_ != nullptr) api_.ReleaseValue(result_);
  result_ = nullptr;
  OrtValue* value = nullptr;
  runtime_.Check(
      api_.CreateTensorWithDataAsOrtValue(memory_, const_cast<uint8_t*>(inputs.at(index)),
                                          inputs.bytes.size() / inputs.count, inputs.shape.data(),
                                          inputs.shape.size(), input_.type, &value),
      name_);
  const OrtValue* values[] = {value};
  runtime_.Check(api_.Run(session_, nullptr, &input_.name, values, 1, &output_.name, 1, &result_),
                 name_);
  api_.ReleaseValue(value);
  OrtTensorTypeAndShapeInfo* info = nullptr;
  size_t count = 0;
  runtime_.Check(api_.GetTensorTypeAndShape(result_, &info), name_);
  runtime_.Check(api_.GetTensorShapeElementCount(info, &count), name_);
  api_.ReleaseTensorTypeAndShapeInfo(info);
  void* data = nullptr;
  runtime_.Check(api_.GetTensorMutableData(result_, &data), name_);
  return {data, count};
}

const char* Session::Metadata(const char* key) const {
  OrtModelMetadata* metadata = nullptr;
  runtime_.Check(api_.SessionGetModelMetadata(session_, &metadata), name_);
  char* value = nullptr;
  runtime_.Check(api_.ModelMetadataLookupCustomMetadataMap(metadata, allocator_, key, &value),
                 name_);
  api_.ReleaseModelMetadata(metadata);
  return value;
}

const char* Session::EndProfiling() {
  char* path = nullptr;
  runtime_.Check(api_.SessionEndProfiling(session_, allocator_, &path), name_);
  return path;
}

}  // namespace pqv
