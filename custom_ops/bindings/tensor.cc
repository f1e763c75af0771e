#include "bindings/tensor.h"

#include <inttypes.h>
#include <stdio.h>

namespace pqv {
namespace {

// What tensors without elements point to: a kernel may add 0 to it, and copy 0 bytes of it.
alignas(64) constexpr char kNoElements[64] = {};

// Releases the description that onnxruntime made of a tensor.
struct TensorInfo {
  const OrtApi* api;
  OrtTensorTypeAndShapeInfo* info = nullptr;

  explicit TensorInfo(const OrtApi* the_api) : api(the_api) {}
  TensorInfo(const TensorInfo&) = delete;
  TensorInfo& operator=(const TensorInfo&) = delete;
  ~TensorInfo() {
    if (info != nullptr) api->ReleaseTensorTypeAndShapeInfo(info);
  }
};

}  // namespace

ShapeText::ShapeText(const Shape& shape) {
  size_t used = static_cast<size_t>(snprintf(text, sizeof(text), "["));
  for (size_t i = 0; i < shape.rank && used < sizeof(text); ++i) {
    used += static_cast<size_t>(
        snprintf(text + used, sizeof(text) - used, "%s%" PRId64, i > 0 ? ", " : "", shape.dims[i]));
  }
  if (used < sizeof(text)) snprintf(text + used, sizeof(text) - used, "]");
}

bool SameShape(const Shape& a, const Shape& b) {
  if (a.rank != b.rank) return false;
  for (size_t i = 0; i < a.rank; ++i) {
    if (a.dims[i] != b.dims[i]) return false;
  }
  return true;
}

bool Product(const Shape& shape, size_t begin, size_t end, size_t* product) {
  *product = 0;
  for (size_t i = begin; i < end; ++i) {
    if (shape.dims[i] == 0) return true;
  }
  size_t result = 1;
  for (size_t i = begin; i < end; ++i) {
    if (__builtin_mul_overflow(result, static_cast<size_t>(shape.dims[i]), &result)) return false;
  }
  *product = result;
  return true;
}

OrtStatus* ReadTensor(const NodeId& node, const InputDeclaration& input, const OrtValue* value,
                      TensorView* view) {
  view->name = input.name;
  const OrtApi* api = node.api;
  int is_tensor = 0;
  if (value != nullptr) PQV_RETURN_IF_ERROR(api->IsTensor(value, &is_tensor));
  if (!is_tensor) return Error(node, "input %s is missing, expected a tensor", input.name);

  TensorInfo tensor(api);
  PQV_RETURN_IF_ERROR(api->GetTensorTypeAndShape(value, &tensor.info));
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  PQV_RETURN_IF_ERROR(api->GetTensorElementType(tensor.info, &type));
  if (type != input.type) {
    return Error(node, "input %s has elements of type %s, expected %s", input.name, TypeName(type),
                 TypeName(input.type));
  }

  Shape& shape = view->shape;
  PQV_RETURN_IF_ERROR(api->GetDimensionsCount(tensor.info, &shape.rank));
  if (shape.rank > kMaxRank) {
    return Error(node, "input %s has %zu dimensions, expected at most %zu", input.name, shape.rank,
                 kMaxRank);
  }
  PQV_RETURN_IF_ERROR(api->GetDimensions(tensor.info, shape.dims, shape.rank));
  for (size_t i = 0; i < shape.rank; ++i) {
    if (shape.dims[i] < 0) {
      return Error(node, "input %s has shape %s, expected no negative dimension", input.name,
                   ShapeText(shape).text);
    }
  }

  void* data = nullptr;
  PQV_RETURN_IF_ERROR(api->GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  view->data = data != nullptr ? data : kNoElements;
  return nullptr;
}

const char* TypeName(ONNXTensorElementDataType type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
      return "uint8";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8:
      return "int8";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16:
      return "int16";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
      return "int32";
    default:
      return "another type";
  }
}

}  // namespace pqv
