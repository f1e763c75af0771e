// pqv_run_model ONNXRUNTIME LIBRARY MODEL INPUT OUTPUT: runs a model of floats on onnxruntime's own
// library with the op library registered, one image at a time. For systems that pqv_run lacks.

#include <stdio.h>
#include <string.h>

#include "host/system.h"
#include "ort/c_api.h"
#include "runner/file.h"

namespace pqv {

namespace {

using GetApiBase = const OrtApiBase* (*)();

const OrtApi* g_api = nullptr;

void Check(OrtStatus* status) {
  if (status != nullptr) Fail("%s", g_api->GetErrorMessage(status));
}

const OrtApi* LoadApi(const char* path) {
  void* library = OpenLibrary(path);
  if (library == nullptr) Fail("%s", LibraryError());
  const auto base = reinterpret_cast<GetApiBase>(FindFunction(library, "OrtGetApiBase"));
  if (base == nullptr) Fail("the library exports no OrtGetApiBase");
  const OrtApi* api = base()->GetApi(kOrtApiVersion);
  if (api == nullptr) Fail("onnxruntime is too old");
  return api;
}

OrtSession* MakeSession(const char* library, const Buffer<uint8_t>& model) {
  OrtEnv* env = nullptr;
  Check(g_api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "pqv", &env));
  OrtSessionOptions* options = nullptr;
  Check(g_api->CreateSessionOptions(&options));
  Check(g_api->RegisterCustomOpsLibrary_V2(options, NativePath(library)));
  OrtSession* session = nullptr;
  Check(g_api->CreateSessionFromArray(env, model.data(), model.size(), options, &session));
  return session;
}

// The input of one image: the session's shape with a batch of one.
OrtValue* MakeInput(OrtSession* session, Buffer<uint8_t>* bytes) {
  OrtTypeInfo* info = nullptr;
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  size_t rank = 0;
  int64_t shape[8] = {};
  Check(g_api->SessionGetInputTypeInfo(session, 0, &info));
  Check(g_api->CastTypeInfoToTensorInfo(info, &tensor));
  Check(g_api->GetDimensionsCount(tensor, &rank));
  if (rank > 8) Fail("the input has %d axes", static_cast<int>(rank));
  Check(g_api->GetDimensions(tensor, shape, rank));
  shape[0] = 1;
  OrtMemoryInfo* memory = nullptr;
  Check(g_api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  OrtValue* value = nullptr;
  Check(g_api->CreateTensorWithDataAsOrtValue(memory, bytes->data(), bytes->size(), shape, rank,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
  return value;
}

void WriteOutput(OrtValue* value, const char* path) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  size_t count = 0;
  void* data = nullptr;
  Check(g_api->GetTensorTypeAndShape(value, &info));
  Check(g_api->GetTensorShapeElementCount(info, &count));
  Check(g_api->GetTensorMutableData(value, &data));
  FILE* file = fopen(path, "wb");
  if (file == nullptr || fwrite(data, sizeof(float), count, file) != count || fclose(file) != 0) {
    Fail("%s: cannot be written", path);
  }
}

int Main(int argc, char** argv) {
  if (argc != 6) Fail("expected ONNXRUNTIME LIBRARY MODEL INPUT OUTPUT");
  g_api = LoadApi(argv[1]);
  const Buffer<uint8_t> model = ReadFile(argv[3]);
  Buffer<uint8_t> bytes = ReadFile(argv[4]);
  OrtSession* session = MakeSession(argv[2], model);
  const OrtValue* inputs[] = {MakeInput(session, &bytes)};
  const char* given[] = {"images"};
  const char* wanted[] = {"logits"};
  OrtValue* found = nullptr;
  Check(g_api->Run(session, nullptr, given, inputs, 1, wanted, 1, &found));
  WriteOutput(found, argv[5]);
  return 0;
}

}  // namespace

}  // namespace pqv

int main(int argc, char** argv) { return pqv::Main(argc, argv); }
