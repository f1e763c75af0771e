// Inputs and outputs of a model.

#ifndef PQV_RUNNER_PORT_H_
#define PQV_RUNNER_PORT_H_

#include <stdint.h>

#include "ort/c_api.h"
#include "runner/buffer.h"

namespace pqv {

// A copy of a shape.
Buffer<int64_t> Copy(const Buffer<int64_t>& shape);

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

// One or more inputs of a model, one after another.
struct Inputs {
  Buffer<int64_t> shape;  // of one
  Buffer<uint8_t> bytes;
  size_t count;

  const uint8_t* at(size_t i) const { return bytes.data() + bytes.size() / count * i; }
};

}  // namespace pqv

#endif  // PQV_RUNNER_PORT_H_
