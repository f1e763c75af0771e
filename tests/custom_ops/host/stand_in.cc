#include "host/stand_in.h"

#include <string.h>

#include <atomic>

#include "host/threads.h"

struct OrtCustomOpDomain {
  pqv::Buffer<const OrtCustomOp*> ops;
};

// Its address stands for that of the tensor.
struct OrtTensorTypeAndShapeInfo {
  const OrtValue* value;
};

namespace pqv {

namespace {

std::atomic<int> live_objects{0};
size_t thread_count = 1;

OrtStatus* CreateStatus(OrtErrorCode, const char* message) {
  live_objects.fetch_add(1);
  OrtStatus* status = static_cast<OrtStatus*>(malloc(sizeof(OrtStatus)));
  status->message = strdup(message);
  return status;
}

size_t TypeSize(ONNXTensorElementDataType type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16:
      return 2;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
      return 4;
    default:
      return 1;
  }
}

OrtStatus* CreateDomain(const char* name, OrtCustomOpDomain** out) {
  if (strncmp(name, "pqv", 3) != 0) return CreateStatus(ORT_FAIL, "the domain is not pqv");
  *out = static_cast<OrtCustomOpDomain*>(calloc(1, sizeof(OrtCustomOpDomain)));
  return nullptr;
}

OrtStatus* AddOp(OrtCustomOpDomain* domain, const OrtCustomOp* op) {
  domain->ops.Append(op);
  return nullptr;
}

OrtStatus* AddDomain(OrtSessionOptions* options, OrtCustomOpDomain* domain) {
  options->ops.Append(domain->ops.data(), domain->ops.size());
  return nullptr;
}

OrtStatus* IsTensor(const OrtValue*, int* out) {
  *out = 1;
  return nullptr;
}

OrtStatus* GetData(OrtValue* value, void** out) {
  *out = value->data;
  return nullptr;
}

OrtStatus* GetTypeAndShape(const OrtValue* value, OrtTensorTypeAndShapeInfo** out) {
  live_objects.fetch_add(1);
  *out = static_cast<OrtTensorTypeAndShapeInfo*>(malloc(sizeof(OrtTensorTypeAndShapeInfo)));
  (*out)->value = value;
  return nullptr;
}

void ReleaseTypeAndShape(OrtTensorTypeAndShapeInfo* info) {
  live_objects.fetch_add(-1);
  free(info);
}

OrtStatus* GetType(const OrtTensorTypeAndShapeInfo* info, ONNXTensorElementDataType* out) {
  *out = info->value->type;
  return nullptr;
}

OrtStatus* GetRank(const OrtTensorTypeAndShapeInfo* info, size_t* out) {
  *out = info->value->rank;
  return nullptr;
}

OrtStatus* GetDimensions(const OrtTensorTypeAndShapeInfo* info, int64_t* dims, size_t count) {
  memcpy(dims, info->value->dims, count * sizeof(int64_t));
  return nullptr;
}

const Attribute* Find(const OrtKernelInfo* info, const char* name, bool is_text) {
  for (const Attribute& attribute : info->attributes) {
    if (strcmp(attribute.name, name) == 0 && (attribute.text != nullptr) == is_text) {
      return &attribute;
    }
  }
  return nullptr;
}

OrtStatus* Missing() { return CreateStatus(ORT_FAIL, "there is no such attribute"); }

OrtStatus* GetFloat(const OrtKernelInfo*, const char*, float*) { return Missing(); }

OrtStatus* GetIntegers(const OrtKernelInfo*, const char*, int64_t*, size_t*) { return Missing(); }

OrtStatus* GetInteger(const OrtKernelInfo* info, const char* name, int64_t* out) {
  const Attribute* found = Find(info, name, false);
  if (found == nullptr) return Missing();
  *out = found->integer;
  return nullptr;
}

// Without room for the text only its size is wanted, the final zero counted.
OrtStatus* CopyText(const char* text, char* out, size_t* size) {
  const size_t needed = strlen(text) + 1;
  if (out != nullptr) memcpy(out, text, needed);
  *size = needed;
  return nullptr;
}

OrtStatus* GetString(const OrtKernelInfo* info, const char* name, char* out, size_t* size) {
  const Attribute* found = Find(info, name, true);
  return found == nullptr ? Missing() : CopyText(found->text, out, size);
}

OrtStatus* GetNodeName(const OrtKernelInfo*, char* out, size_t* size) {
  return CopyText("node", out, size);
}

OrtStatus* GetConstant(const OrtKernelInfo* info, size_t index, int* is_constant,
                       const OrtValue** out) {
  *is_constant = index < info->inputs.size() && info->is_constant[index];
  *out = *is_constant ? info->inputs[index] : nullptr;
  return nullptr;
}

OrtStatus* GetInput(const OrtKernelContext* context, size_t index, const OrtValue** out) {
  *out = index < context->node->inputs.size() ? context->node->inputs[index] : nullptr;
  return nullptr;
}

OrtStatus* GetOutput(OrtKernelContext* context, size_t, const int64_t* dims, size_t rank,
                     OrtValue** out) {
  OrtValue* value = static_cast<OrtValue*>(calloc(1, sizeof(OrtValue)));
  value->type = context->output_type;
  value->rank = rank;
  memcpy(value->dims, dims, rank * sizeof(int64_t));
  if (!CountBytes(value)) {
    free(value);
    return CreateStatus(ORT_FAIL, "no memory for the output");
  }
  value->data = static_cast<char*>(malloc(value->bytes + 1));
  memset(value->data, 0x55, value->bytes + 1);
  context->output = *out = value;
  return nullptr;
}

// Tasks that threads take one after the other, the last first: their order must not matter.
OrtStatus* ParallelFor(const OrtKernelContext*, void (*task)(void*, size_t), size_t total, size_t,
                       void* data) {
  std::atomic<size_t> taken{0};
  OnThreads(thread_count, [&] {
    for (size_t i = taken.fetch_add(1); i < total; i = taken.fetch_add(1))
      task(data, total - 1 - i);
  });
  return nullptr;
}

OrtApi MakeApi() {
  OrtApi api = {};
  api.CreateStatus = CreateStatus;
  api.ReleaseStatus = ReleaseStatus;
  api.CreateCustomOpDomain = CreateDomain;
  api.CustomOpDomain_Add = AddOp;
  api.AddCustomOpDomain = AddDomain;
  api.IsTensor = IsTensor;
  api.GetTensorMutableData = GetData;
  api.GetTensorTypeAndShape = GetTypeAndShape;
  api.ReleaseTensorTypeAndShapeInfo = ReleaseTypeAndShape;
  api.GetTensorElementType = GetType;
  api.GetDimensionsCount = GetRank;
  api.GetDimensions = GetDimensions;
  api.KernelInfoGetAttribute_float = GetFloat;
  api.KernelInfoGetAttribute_int64 = GetInteger;
  api.KernelInfoGetAttribute_string = GetString;
  api.KernelInfoGetAttributeArray_int64 = GetIntegers;
  api.KernelInfo_GetNodeName = GetNodeName;
  api.KernelInfoGetConstantInput_tensor = GetConstant;
  api.KernelContext_GetInput = GetInput;
  api.KernelContext_GetOutput = GetOutput;
  api.KernelContext_ParallelFor = ParallelFor;
  return api;
}

const OrtApi* GetApi(uint32_t version) {
  static const OrtApi api = MakeApi();
  return version == kOrtApiVersion ? &api : nullptr;
}

}  // namespace

const OrtApiBase* StandIn() {
  static const OrtApiBase base = {GetApi, [] { return "1.18.0"; }};
  return &base;
}

bool CountBytes(OrtValue* value) {
  constexpr size_t kMaxBytes = size_t{1} << 30;
  value->bytes = TypeSize(value->type);
  bool is_empty = false;
  for (size_t i = 0; i < value->rank; ++i) is_empty |= value->dims[i] == 0;
  for (size_t i = 0; i < value->rank; ++i) {
    const size_t dim = is_empty ? 0 : static_cast<size_t>(value->dims[i]);
    if (dim > kMaxBytes / (value->bytes > 0 ? value->bytes : 1)) return false;
    value->bytes *= dim;
  }
  return true;
}

void FreeValue(OrtValue* value) {
  if (value == nullptr) return;
  free(value->data);
  free(value);
}

void ReleaseStatus(OrtStatus* status) {
  if (status == nullptr) return;
  live_objects.fetch_add(-1);
  free(status->message);
  free(status);
}

void SetThreads(size_t threads) { thread_count = threads; }

int LiveObjects() { return live_objects.load(); }

}  // namespace pqv
