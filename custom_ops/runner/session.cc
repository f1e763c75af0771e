#include "runner/session.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "runner/fail.h"

namespace pqv {

namespace {

struct Type {
  ONNXTensorElementDataType type;
  const char* name;
  size_t bytes;
};

constexpr Type kTypes[] = {
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, "float32", 4},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, "uint8", 1},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, "int8", 1},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, "int32", 4},
};

// A file of this name in the folder of this program, if there is one.
const char* BesideProgram(const char* name) {
  static char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) return nullptr;
  path[length] = '\0';
  char* slash = strrchr(path, '/');
  if (slash == nullptr) return nullptr;
  const size_t room = sizeof(path) - static_cast<size_t>(slash + 1 - path);
  if (snprintf(slash + 1, room, "%s", name) >= static_cast<int>(room)) return nullptr;
  return access(path, R_OK) == 0 ? path : nullptr;
}

bool IsAtLeast(const char* version, long major, long minor) {
  char* end = nullptr;
  const long found_major = strtol(version, &end, 10);
  const long found_minor = *end == '.' ? strtol(end + 1, nullptr, 10) : 0;
  return found_major != major ? found_major > major : found_minor >= minor;
}

}  // namespace

const char* TypeName(ONNXTensorElementDataType type) {
  for (const Type& known : kTypes) {
    if (known.type == type) return known.name;
  }
  return "of another type";
}

size_t TypeBytes(ONNXTensorElementDataType type) {
  for (const Type& known : kTypes) {
    if (known.type == type) return known.bytes;
  }
  return 0;
}

size_t Port::ElementCount() const {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return count;
}

size_t Port::ByteCount() const { return ElementCount() * TypeBytes(type); }

void Session::Check(OrtStatus* status, const char* what) {
  if (status == nullptr) return;
  // Some of onnxruntime's messages have several lines, and where in its sources they come from.
  char text[2048];
  size_t used = 0;
  for (const char* from = api_->GetErrorMessage(status); *from != '\0'; ++from) {
    const char c = *from == '\n' ? ' ' : *from;
    if (used + 1 < sizeof(text) && !(c == ' ' && used > 0 && text[used - 1] == ' ')) {
      text[used++] = c;
    }
  }
  text[used] = '\0';
  Fail("%s: %s", what, text);
}

void Session::LoadOnnxruntime(const char* path) {
  constexpr char kName[] = "libonnxruntime.so";
  if (path == nullptr) path = BesideProgram(kName);
  void* library = dlopen(path == nullptr ? kName : path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    Fail("onnxruntime cannot be loaded, --onnxruntime names its library: %s", dlerror());
  }
  using GetApiBase = const OrtApiBase* (*)();
  const auto get_api_base = reinterpret_cast<GetApiBase>(dlsym(library, "OrtGetApiBase"));
  if (get_api_base == nullptr) Fail("%s: not onnxruntime: it has no OrtGetApiBase", path);
  const OrtApiBase* base = get_api_base();
  version_ = base->GetVersionString();
  // Asked for by version first: onnxruntime prints a line of its own where it has no such table.
  if (IsAtLeast(version_, 1, kOrtApiVersion)) api_ = base->GetApi(kOrtApiVersion);
  if (api_ == nullptr) {
    Fail("onnxruntime %s is too old: 1.%u or newer is needed", version_, kOrtApiVersion);
  }
}

OrtSessionOptions* Session::MakeOptions(const Options& options) {
  OrtSessionOptions* made = nullptr;
  Check(api_->CreateSessionOptions(&made), "onnxruntime");
  Check(api_->SetIntraOpNumThreads(made, static_cast<int>(options.threads)), "onnxruntime");
  if (options.functions) return made;
  const char* library = options.library;
  if (library == nullptr) library = BesideProgram("libpqv_ops.so");
  if (library == nullptr) {
    Fail(
        "there is no libpqv_ops.so beside this program: --library names it, --functions runs "
        "without it");
  }
  Check(api_->RegisterCustomOpsLibrary_V2(made, library), library);
  return made;
}

void Session::ReadPorts() {
  OrtAllocator* allocator = nullptr;
  Check(api_->GetAllocatorWithDefaultOptions(&allocator), model_);
  size_t inputs = 0;
  size_t outputs = 0;
  Check(api_->SessionGetInputCount(session_, &inputs), model_);
  Check(api_->SessionGetOutputCount(session_, &outputs), model_);
  if (inputs != 1 || outputs != 1) {
    Fail("%s: has %zu inputs and %zu outputs, expected one of each", model_, inputs, outputs);
  }
  char* name = nullptr;
  OrtTypeInfo* info = nullptr;
  const auto read = [&](Port* port) {
    port->name = name;
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    Check(api_->CastTypeInfoToTensorInfo(info, &tensor), model_);
    if (tensor == nullptr) Fail("%s: %s is not a tensor", model_, name);
    Check(api_->GetTensorElementType(tensor, &port->type), model_);
    size_t rank = 0;
    Check(api_->GetDimensionsCount(tensor, &rank), model_);
    port->shape.Resize(rank);
    Check(api_->GetDimensions(tensor, port->shape.data(), rank), model_);
    for (int64_t& size : port->shape) {
      if (size < 0) size = 1;
    }
    api_->ReleaseTypeInfo(info);
  };
  Check(api_->SessionGetInputName(session_, 0, allocator, &name), model_);
  Check(api_->SessionGetInputTypeInfo(session_, 0, &info), model_);
  read(&input_);
  if (TypeBytes(input_.type) == 0) {
    Fail("%s: the type of input %s is none that pqv_run knows", model_, name);
  }
  Check(api_->SessionGetOutputName(session_, 0, allocator, &name), model_);
  Check(api_->SessionGetOutputTypeInfo(session_, 0, &info), model_);
  read(&output_);
  if (TypeBytes(output_.type) == 0) {
    Fail("%s: the type of output %s is none that pqv_run knows", model_, name);
  }
}

Session::Session(const Options& options) : model_(options.model) {
  LoadOnnxruntime(options.onnxruntime);
  if (access(model_, R_OK) != 0) Fail("%s: there is no such file that can be read", model_);
  Check(api_->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "pqv_run", &env_), "onnxruntime");
  OrtSessionOptions* session_options = MakeOptions(options);
  Check(api_->CreateSession(env_, model_, session_options, &session_), model_);
  api_->ReleaseSessionOptions(session_options);
  Check(api_->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory_), "onnxruntime");
  ReadPorts();
}

const void* Session::Run(const void* input) {
  if (result_ != nullptr) api_->ReleaseValue(result_);
  result_ = nullptr;
  OrtValue* value = nullptr;
  Check(api_->CreateTensorWithDataAsOrtValue(memory_, const_cast<void*>(input), input_.ByteCount(),
                                             input_.shape.data(), input_.shape.size(), input_.type,
                                             &value),
        model_);
  const OrtValue* inputs[] = {value};
  Check(api_->Run(session_, nullptr, &input_.name, inputs, 1, &output_.name, 1, &result_), model_);
  api_->ReleaseValue(value);
  OrtTensorTypeAndShapeInfo* info = nullptr;
  size_t count = 0;
  Check(api_->GetTensorTypeAndShape(result_, &info), model_);
  Check(api_->GetTensorShapeElementCount(info, &count), model_);
  api_->ReleaseTensorTypeAndShapeInfo(info);
  if (count != output_.ElementCount()) {
    Fail("%s: %zu values came out, expected %zu by the model's shapes", model_, count,
         output_.ElementCount());
  }
  void* data = nullptr;
  Check(api_->GetTensorMutableData(result_, &data), model_);
  return data;
}

}  // namespace pqv
