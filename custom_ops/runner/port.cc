#include "runner/port.h"

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

Buffer<int64_t> Copy(const Buffer<int64_t>& shape) {
  Buffer<int64_t> copy;
  copy.Append(shape.data(), shape.size());
  return copy;
}

size_t Port::ElementCount() const {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return count;
}

size_t Port::ByteCount() const { return ElementCount() * TypeBytes(type); }

}  // namespace pqv
