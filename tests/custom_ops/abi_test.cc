// Compares the C ABI that custom_ops/ort declares with the official onnxruntime header.
// Built, which is the whole test, where PQV_ORT_INCLUDE_DIR names that header.

#include <onnxruntime_c_api.h>

// Our own declarations of the same names, in a namespace of their own.
namespace subset {
#include "ort/c_api_subset.h"
}  // namespace subset

namespace {

#define SAME_OFFSET(type, member)                                           \
  static_assert(offsetof(::type, member) == offsetof(subset::type, member), \
                #type "::" #member " is not where onnxruntime has it")

SAME_OFFSET(OrtApiBase, GetApi);
SAME_OFFSET(OrtApiBase, GetVersionString);

SAME_OFFSET(OrtApi, CreateStatus);
SAME_OFFSET(OrtApi, GetErrorMessage);
SAME_OFFSET(OrtApi, CreateEnv);
SAME_OFFSET(OrtApi, CreateSession);
SAME_OFFSET(OrtApi, CreateSessionFromArray);
SAME_OFFSET(OrtApi, Run);
SAME_OFFSET(OrtApi, CreateSessionOptions);
SAME_OFFSET(OrtApi, EnableProfiling);
SAME_OFFSET(OrtApi, SetIntraOpNumThreads);
SAME_OFFSET(OrtApi, CreateCustomOpDomain);
SAME_OFFSET(OrtApi, CustomOpDomain_Add);
SAME_OFFSET(OrtApi, AddCustomOpDomain);
SAME_OFFSET(OrtApi, SessionGetInputCount);
SAME_OFFSET(OrtApi, SessionGetOutputCount);
SAME_OFFSET(OrtApi, SessionGetInputTypeInfo);
SAME_OFFSET(OrtApi, SessionGetOutputTypeInfo);
SAME_OFFSET(OrtApi, SessionGetInputName);
SAME_OFFSET(OrtApi, SessionGetOutputName);
SAME_OFFSET(OrtApi, CreateTensorWithDataAsOrtValue);
SAME_OFFSET(OrtApi, IsTensor);
SAME_OFFSET(OrtApi, GetTensorMutableData);
SAME_OFFSET(OrtApi, CastTypeInfoToTensorInfo);
SAME_OFFSET(OrtApi, GetTensorElementType);
SAME_OFFSET(OrtApi, GetDimensionsCount);
SAME_OFFSET(OrtApi, GetDimensions);
SAME_OFFSET(OrtApi, GetTensorShapeElementCount);
SAME_OFFSET(OrtApi, GetTensorTypeAndShape);
SAME_OFFSET(OrtApi, CreateCpuMemoryInfo);
SAME_OFFSET(OrtApi, AllocatorFree);
SAME_OFFSET(OrtApi, GetAllocatorWithDefaultOptions);
SAME_OFFSET(OrtApi, KernelInfoGetAttribute_float);
SAME_OFFSET(OrtApi, KernelInfoGetAttribute_int64);
SAME_OFFSET(OrtApi, KernelInfoGetAttribute_string);
SAME_OFFSET(OrtApi, KernelContext_GetInput);
SAME_OFFSET(OrtApi, KernelContext_GetOutput);
SAME_OFFSET(OrtApi, ReleaseStatus);
SAME_OFFSET(OrtApi, ReleaseMemoryInfo);
SAME_OFFSET(OrtApi, ReleaseSession);
SAME_OFFSET(OrtApi, ReleaseValue);
SAME_OFFSET(OrtApi, ReleaseTypeInfo);
SAME_OFFSET(OrtApi, ReleaseTensorTypeAndShapeInfo);
SAME_OFFSET(OrtApi, ReleaseSessionOptions);
SAME_OFFSET(OrtApi, ReleaseCustomOpDomain);
SAME_OFFSET(OrtApi, SessionEndProfiling);
SAME_OFFSET(OrtApi, SessionGetModelMetadata);
SAME_OFFSET(OrtApi, ModelMetadataLookupCustomMetadataMap);
SAME_OFFSET(OrtApi, ReleaseModelMetadata);
SAME_OFFSET(OrtApi, KernelInfoGetAttributeArray_int64);
SAME_OFFSET(OrtApi, RegisterCustomOpsLibrary_V2);
SAME_OFFSET(OrtApi, RegisterCustomOpsUsingFunction);
SAME_OFFSET(OrtApi, KernelInfo_GetNodeName);
SAME_OFFSET(OrtApi, KernelInfoGetConstantInput_tensor);
SAME_OFFSET(OrtApi, KernelContext_ParallelFor);

SAME_OFFSET(OrtCustomOp, version);
SAME_OFFSET(OrtCustomOp, CreateKernel);
SAME_OFFSET(OrtCustomOp, GetName);
SAME_OFFSET(OrtCustomOp, GetExecutionProviderType);
SAME_OFFSET(OrtCustomOp, GetInputType);
SAME_OFFSET(OrtCustomOp, GetInputTypeCount);
SAME_OFFSET(OrtCustomOp, GetOutputType);
SAME_OFFSET(OrtCustomOp, GetOutputTypeCount);
SAME_OFFSET(OrtCustomOp, KernelCompute);
SAME_OFFSET(OrtCustomOp, KernelDestroy);
SAME_OFFSET(OrtCustomOp, GetInputCharacteristic);
SAME_OFFSET(OrtCustomOp, GetOutputCharacteristic);
SAME_OFFSET(OrtCustomOp, GetInputMemoryType);
SAME_OFFSET(OrtCustomOp, GetVariadicInputMinArity);
SAME_OFFSET(OrtCustomOp, GetVariadicInputHomogeneity);
SAME_OFFSET(OrtCustomOp, GetVariadicOutputMinArity);
SAME_OFFSET(OrtCustomOp, GetVariadicOutputHomogeneity);
SAME_OFFSET(OrtCustomOp, CreateKernelV2);
SAME_OFFSET(OrtCustomOp, KernelComputeV2);
SAME_OFFSET(OrtCustomOp, InferOutputShapeFn);
SAME_OFFSET(OrtCustomOp, GetStartVersion);
SAME_OFFSET(OrtCustomOp, GetEndVersion);
SAME_OFFSET(OrtCustomOp, GetMayInplace);
SAME_OFFSET(OrtCustomOp, ReleaseMayInplace);
SAME_OFFSET(OrtCustomOp, GetAliasMap);
SAME_OFFSET(OrtCustomOp, ReleaseAliasMap);

#define SAME_VALUE(constant)                                                        \
  static_assert(static_cast<int>(::constant) == static_cast<int>(subset::constant), \
                #constant " has another value in onnxruntime")

SAME_VALUE(ORT_OK);
SAME_VALUE(ORT_FAIL);
SAME_VALUE(ORT_INVALID_ARGUMENT);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32);
SAME_VALUE(ORT_LOGGING_LEVEL_ERROR);
SAME_VALUE(OrtDeviceAllocator);
SAME_VALUE(OrtMemTypeDefault);
SAME_VALUE(INPUT_OUTPUT_REQUIRED);

}  // namespace
