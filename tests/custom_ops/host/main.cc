// pqv_abi_host LIBRARY CASE...: loads an op library as onnxruntime does and drives its ops through
// the C ABI, without onnxruntime. tests/custom_ops/test_abi_host.py writes the cases and says what
// a case file holds.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/stand_in.h"
#include "host/system.h"
#include "runner/file.h"

namespace pqv {

namespace {

using Register = OrtStatus* (*)(OrtSessionOptions*, const OrtApiBase*);

// A case file: what a node gets and what it must give.
class Case {
 public:
  explicit Case(const char* path) : path_(path), bytes_(ReadFile(path)) {
    op_ = Text();
    for (uint32_t count = Number(); count > 0; --count) {
      Attribute attribute = {Text(), nullptr, 0};
      if (Number() != 0) {
        attribute.text = Text();
      } else {
        memcpy(&attribute.integer, Take(sizeof(int64_t)), sizeof(int64_t));
      }
      node_.attributes.Append(attribute);
    }
    for (uint32_t count = Number(); count > 0; --count) {
      node_.is_constant.Append(Number() != 0);
      node_.inputs.Append(Tensor());
    }
    error_ = Text();
    if (error_[0] == '\0') expected_ = Tensor();
  }

  // Makes the kernel, runs it twice and compares what comes out.
  void Check(const OrtSessionOptions& options) const {
    const OrtCustomOp* op = nullptr;
    for (const OrtCustomOp* candidate : options.ops) {
      if (strcmp(candidate->GetName(candidate), op_) == 0) op = candidate;
    }
    if (op == nullptr) Fail("%s: the library has no op %s", path_, op_);
    const OrtApi* api = StandIn()->GetApi(kOrtApiVersion);
    void* kernel = nullptr;
    OrtStatus* status = op->CreateKernelV2(op, api, &node_, &kernel);
    if (error_[0] != '\0') return ExpectError(api, status);
    if (status != nullptr) Fail("%s: %s", path_, status->message);
    for (int run = 0; run < 2; ++run) {
      OrtKernelContext context = {&node_, op->GetOutputType(op, 0), nullptr};
      status = op->KernelComputeV2(kernel, &context);
      if (status != nullptr) Fail("%s: %s", path_, status->message);
      Compare(*context.output);
      free(context.output->data);
      free(context.output);
    }
    op->KernelDestroy(kernel);
  }

 private:
  const char* Take(size_t count) {
    if (count > bytes_.size() - at_) Fail("%s: the case is cut off", path_);
    at_ += count;
    return reinterpret_cast<const char*>(bytes_.data()) + at_ - count;
  }

  uint32_t Number() {
    uint32_t number = 0;
    memcpy(&number, Take(sizeof(number)), sizeof(number));
    return number;
  }

  const char* Text() {
    const uint32_t length = Number();
    char* text = static_cast<char*>(calloc(length + 1, 1));
    memcpy(text, Take(length), length);
    return text;
  }

  const OrtValue* Tensor() {
    OrtValue* value = static_cast<OrtValue*>(calloc(1, sizeof(OrtValue)));
    value->type = static_cast<ONNXTensorElementDataType>(Number());
    value->rank = Number();
    value->bytes = TypeSize(value->type);
    for (size_t i = 0; i < value->rank; ++i) {
      value->dims[i] = Number();
      value->bytes *= static_cast<size_t>(value->dims[i]);
    }
    // A copy, of the exact size and aligned, so that tools see what is read beyond its end. Of no
    // elements there is none, as in onnxruntime.
    const char* bytes = Take(value->bytes);
    if (value->bytes == 0) return value;
    value->data = static_cast<char*>(malloc(value->bytes));
    memcpy(value->data, bytes, value->bytes);
    return value;
  }

  void ExpectError(const OrtApi* api, OrtStatus* status) const {
    if (status == nullptr) Fail("%s: accepted, expected the error \"%s\"", path_, error_);
    if (strstr(status->message, error_) == nullptr) {
      Fail("%s: the error is \"%s\", expected \"%s\"", path_, status->message, error_);
    }
    api->ReleaseStatus(status);
  }

  void Compare(const OrtValue& found) const {
    if (found.type != expected_->type || found.rank != expected_->rank ||
        memcmp(found.dims, expected_->dims, sizeof(found.dims)) != 0) {
      Fail("%s: %s gives another type or shape than expected", path_, op_);
    }
    if (found.bytes > 0 && memcmp(found.data, expected_->data, found.bytes) != 0) {
      Fail("%s: %s gives other values than expected", path_, op_);
    }
    if (found.data[found.bytes] != 0x55) Fail("%s: %s writes beyond its output", path_, op_);
  }

  const char* path_;
  Buffer<uint8_t> bytes_;
  size_t at_ = 0;
  const char* op_;
  OrtKernelInfo node_;
  const char* error_;
  const OrtValue* expected_ = nullptr;
};

// Registers the ops by a function found as `name` under `handle`.
void RegisterOps(void* handle, const char* name, OrtSessionOptions* options) {
  const auto function = reinterpret_cast<Register>(FindFunction(handle, name));
  if (function == nullptr) Fail("the library exports no %s", name);
  OrtStatus* status = function(options, StandIn());
  if (status != nullptr) Fail("%s: %s", name, status->message);
}

int Main(int argc, char** argv) {
  if (argc < 2) FailUsage("expected a LIBRARY");
  void* library = OpenLibrary(argv[1]);
  if (library == nullptr) Fail("%s", LibraryError());
  OrtSessionOptions by_path;
  RegisterOps(library, "RegisterCustomOps", &by_path);
  // onnxruntime looks a function up by name in the whole process, where Android finds it because
  // the library asks to be global. glibc knows no such wish.
  OrtSessionOptions by_name;
#if defined(__ANDROID__)
  RegisterOps(RTLD_DEFAULT, "RegisterPqvCustomOps", &by_name);
#else
  RegisterOps(library, "RegisterPqvCustomOps", &by_name);
#endif
  if (by_path.ops.size() != by_name.ops.size()) Fail("the two ways to register differ");
  for (int i = 2; i < argc; ++i) {
    const Case one(argv[i]);
    one.Check(by_path);
    one.Check(by_name);
  }
  if (LiveObjects() != 0) Fail("%d objects were not released", LiveObjects());
  printf("%zu ops, %d cases passed\n", by_path.ops.size(), argc - 2);
  return 0;
}

}  // namespace

}  // namespace pqv

int main(int argc, char** argv) { return pqv::Main(argc, argv); }
