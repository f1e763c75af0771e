// Declarations of the used part of the onnxruntime C ABI, API version 18. See c_api.h.

#ifndef PQV_ORT_C_API_SUBSET_H_
#define PQV_ORT_C_API_SUBSET_H_

#include <stddef.h>
#include <stdint.h>

extern "C" {

struct OrtStatus;
struct OrtValue;
struct OrtAllocator;
struct OrtEnv;
struct OrtMemoryInfo;
struct OrtModelMetadata;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtTypeInfo;
struct OrtCustomOpDomain;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtShapeInferContext;
struct OrtTensorTypeAndShapeInfo;
struct OrtApi;
struct OrtCustomOp;

enum OrtErrorCode {
  ORT_OK = 0,
  ORT_FAIL = 1,
  ORT_INVALID_ARGUMENT = 2,
};

enum ONNXTensorElementDataType {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED = 0,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 = 2,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 = 3,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 = 5,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 = 6,
};

enum OrtLoggingLevel {
  ORT_LOGGING_LEVEL_ERROR = 3,
};

enum OrtAllocatorType {
  OrtDeviceAllocator = 0,
};

enum OrtMemType {
  OrtMemTypeDefault = 0,
};

enum OrtCustomOpInputOutputCharacteristic {
  INPUT_OUTPUT_REQUIRED = 0,
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

// Each unnamed run of slots is an array sized by the indices of its neighbours.
struct OrtApi {
  OrtStatus* (*CreateStatus)(OrtErrorCode code, const char* message);  // slot 0
  void* unused_after_0[2 - 0 - 1];
  const char* (*GetErrorMessage)(const OrtStatus* status);  // slot 2
  OrtStatus* (*CreateEnv)(OrtLoggingLevel level, const char* name, OrtEnv** out);
  void* unused_after_3[7 - 3 - 1];
  OrtStatus* (*CreateSession)(const OrtEnv* env, const char* path, const OrtSessionOptions* options,
                              OrtSession** out);  // slot 7
  OrtStatus* (*CreateSessionFromArray)(const OrtEnv* env, const void* bytes, size_t size,
                                       const OrtSessionOptions* options, OrtSession** out);
  OrtStatus* (*Run)(OrtSession* session, const OrtRunOptions* options,
                    const char* const* input_names, const OrtValue* const* inputs,
                    size_t input_count, const char* const* output_names, size_t output_count,
                    OrtValue** outputs);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions** out);
  void* unused_after_10[14 - 10 - 1];
  OrtStatus* (*EnableProfiling)(OrtSessionOptions* options, const char* prefix);  // slot 14
  void* unused_after_14[24 - 14 - 1];
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions* options, int count);  // slot 24
  void* unused_after_24[26 - 24 - 1];
  OrtStatus* (*CreateCustomOpDomain)(const char* name, OrtCustomOpDomain** out);  // slot 26
  OrtStatus* (*CustomOpDomain_Add)(OrtCustomOpDomain* domain, const OrtCustomOp* op);
  OrtStatus* (*AddCustomOpDomain)(OrtSessionOptions* options, OrtCustomOpDomain* domain);
  void* unused_after_28[30 - 28 - 1];
  OrtStatus* (*SessionGetInputCount)(const OrtSession* session, size_t* out);  // slot 30
  OrtStatus* (*SessionGetOutputCount)(const OrtSession* session, size_t* out);
  void* unused_after_31[33 - 31 - 1];
  OrtStatus* (*SessionGetInputTypeInfo)(const OrtSession* session, size_t index,
                                        OrtTypeInfo** out);  // slot 33
  OrtStatus* (*SessionGetOutputTypeInfo)(const OrtSession* session, size_t index,
                                         OrtTypeInfo** out);
  void* unused_after_34[36 - 34 - 1];
  OrtStatus* (*SessionGetInputName)(const OrtSession* session, size_t index,
                                    OrtAllocator* allocator, char** out);  // slot 36
  OrtStatus* (*SessionGetOutputName)(const OrtSession* session, size_t index,
                                     OrtAllocator* allocator, char** out);
  void* unused_after_37[49 - 37 - 1];
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo* info, void* data, size_t bytes,
                                               const int64_t* dims, size_t rank,
                                               ONNXTensorElementDataType type,
                                               OrtValue** out);  // slot 49
  OrtStatus* (*IsTensor)(const OrtValue* value, int* out);       // slot 50
  OrtStatus* (*GetTensorMutableData)(OrtValue* value, void** out);
  void* unused_after_51[55 - 51 - 1];
  OrtStatus* (*CastTypeInfoToTensorInfo)(const OrtTypeInfo* info,
                                         const OrtTensorTypeAndShapeInfo** out);  // slot 55
  void* unused_after_55[60 - 55 - 1];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo* info,
                                     ONNXTensorElementDataType* out);  // slot 60
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo* info, size_t* out);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo* info, int64_t* dims, size_t count);
  void* unused_after_62[64 - 62 - 1];
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo* info,
                                           size_t* out);  // slot 64
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue* value, OrtTensorTypeAndShapeInfo** out);
  void* unused_after_65[69 - 65 - 1];
  OrtStatus* (*CreateCpuMemoryInfo)(OrtAllocatorType type, OrtMemType memory,
                                    OrtMemoryInfo** out);  // slot 69
  void* unused_after_69[76 - 69 - 1];
  OrtStatus* (*AllocatorFree)(OrtAllocator* allocator, void* memory);  // slot 76
  void* unused_after_76[78 - 76 - 1];
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator** out);  // slot 78
  void* unused_after_78[85 - 78 - 1];
  OrtStatus* (*KernelInfoGetAttribute_float)(const OrtKernelInfo* info, const char* name,
                                             float* out);  // slot 85
  OrtStatus* (*KernelInfoGetAttribute_int64)(const OrtKernelInfo* info, const char* name,
                                             int64_t* out);
  OrtStatus* (*KernelInfoGetAttribute_string)(const OrtKernelInfo* info, const char* name,
                                              char* out, size_t* size);
  void* unused_after_87[90 - 87 - 1];
  OrtStatus* (*KernelContext_GetInput)(const OrtKernelContext* context, size_t index,
                                       const OrtValue** out);  // slot 90
  OrtStatus* (*KernelContext_GetOutput)(OrtKernelContext* context, size_t index,
                                        const int64_t* dims, size_t rank, OrtValue** out);
  void* unused_after_91[93 - 91 - 1];
  void (*ReleaseStatus)(OrtStatus* status);  // slot 93
  void (*ReleaseMemoryInfo)(OrtMemoryInfo* info);
  void (*ReleaseSession)(OrtSession* session);
  void (*ReleaseValue)(OrtValue* value);
  void* unused_after_96[98 - 96 - 1];
  void (*ReleaseTypeInfo)(OrtTypeInfo* info);  // slot 98
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo* info);
  void (*ReleaseSessionOptions)(OrtSessionOptions* options);
  void (*ReleaseCustomOpDomain)(OrtCustomOpDomain* domain);
  void* unused_after_101[110 - 101 - 1];
  OrtStatus* (*SessionEndProfiling)(OrtSession* session, OrtAllocator* allocator,
                                    char** path);  // slot 110
  OrtStatus* (*SessionGetModelMetadata)(const OrtSession* session, OrtModelMetadata** out);
  void* unused_after_111[116 - 111 - 1];
  OrtStatus* (*ModelMetadataLookupCustomMetadataMap)(const OrtModelMetadata* metadata,
                                                     OrtAllocator* allocator, const char* key,
                                                     char** out);  // slot 116
  void* unused_after_116[118 - 116 - 1];
  void (*ReleaseModelMetadata)(OrtModelMetadata* metadata);  // slot 118
  void* unused_after_118[163 - 118 - 1];
  OrtStatus* (*KernelInfoGetAttributeArray_int64)(const OrtKernelInfo* info, const char* name,
                                                  int64_t* out, size_t* size);  // slot 163
  void* unused_after_163[228 - 163 - 1];
  OrtStatus* (*RegisterCustomOpsLibrary_V2)(OrtSessionOptions* options,
                                            const char* path);  // slot 228
  OrtStatus* (*RegisterCustomOpsUsingFunction)(OrtSessionOptions* options, const char* name);
  void* unused_after_229[244 - 229 - 1];
  OrtStatus* (*KernelInfo_GetNodeName)(const OrtKernelInfo* info, char* out,
                                       size_t* size);  // slot 244
  void* unused_after_244[249 - 244 - 1];
  OrtStatus* (*KernelInfoGetConstantInput_tensor)(const OrtKernelInfo* info, size_t index,
                                                  int* is_constant,
                                                  const OrtValue** out);  // slot 249
  void* unused_after_249[274 - 249 - 1];
  OrtStatus* (*KernelContext_ParallelFor)(const OrtKernelContext* context,
                                          void (*function)(void*, size_t), size_t total,
                                          size_t num_batch, void* user_data);  // slot 274
};

// The whole structure of version 18: onnxruntime reads every member, so none may be left out.
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info);
  const char* (*GetName)(const OrtCustomOp* op);
  const char* (*GetExecutionProviderType)(const OrtCustomOp* op);
  ONNXTensorElementDataType (*GetInputType)(const OrtCustomOp* op, size_t index);
  size_t (*GetInputTypeCount)(const OrtCustomOp* op);
  ONNXTensorElementDataType (*GetOutputType)(const OrtCustomOp* op, size_t index);
  size_t (*GetOutputTypeCount)(const OrtCustomOp* op);
  void (*KernelCompute)(void* kernel, OrtKernelContext* context);
  void (*KernelDestroy)(void* kernel);
  OrtCustomOpInputOutputCharacteristic (*GetInputCharacteristic)(const OrtCustomOp* op,
                                                                 size_t index);
  OrtCustomOpInputOutputCharacteristic (*GetOutputCharacteristic)(const OrtCustomOp* op,
                                                                  size_t index);
  OrtMemType (*GetInputMemoryType)(const OrtCustomOp* op, size_t index);
  int (*GetVariadicInputMinArity)(const OrtCustomOp* op);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp* op);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp* op);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp* op);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext* context);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp* op, OrtShapeInferContext* context);
  int (*GetStartVersion)(const OrtCustomOp* op);
  int (*GetEndVersion)(const OrtCustomOp* op);
  size_t (*GetMayInplace)(int** input_index, int** output_index);
  void (*ReleaseMayInplace)(int* input_index, int* output_index);
  size_t (*GetAliasMap)(int** input_index, int** output_index);
  void (*ReleaseAliasMap)(int* input_index, int* output_index);
};

}  // extern "C"

#endif  // PQV_ORT_C_API_SUBSET_H_
