// What pqv_onnx/ops/domain.py declares of an op. declarations.h, which is made of it, has it for
// every op; bindings name inputs and attributes and look up the rest.

#ifndef PQV_BINDINGS_DECLARATION_H_
#define PQV_BINDINGS_DECLARATION_H_

#include <stddef.h>
#include <stdint.h>

#include "ort/c_api.h"

namespace pqv {

constexpr ONNXTensorElementDataType kInt8 = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
constexpr ONNXTensorElementDataType kUint8 = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
constexpr ONNXTensorElementDataType kInt16 = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16;
constexpr ONNXTensorElementDataType kInt32 = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;

// Small: there are a hundred of them. A pointer to each name would be relocated when the library is
// loaded, which takes 24 bytes of the file.
struct InputDeclaration {
  char name[20];
  ONNXTensorElementDataType type;
  uint32_t rank;     // of a constant; any other may have more dimensions in front
  int32_t low = 0;   // of the elements of a constant
  int32_t high = 0;  // likewise
};

constexpr int64_t kRequired = INT64_MIN;

struct AttributeDeclaration {
  char name[20];
  char text[8];                 // the string that it must be; empty for an integer
  int64_t low = 0;              // of an integer
  int64_t high = 0;             // likewise
  const char* below = nullptr;  // the name of one that it is less than
  int64_t absent = kRequired;   // what it is where the node has none
};

struct OpDeclaration {
  const char* name;
  ONNXTensorElementDataType output_type;
  const InputDeclaration* inputs;
  size_t input_count;
  const AttributeDeclaration* attributes;
  size_t attribute_count;
};

// Those of that name; null if the op declares none.
const InputDeclaration* FindInput(const OpDeclaration& op, const char* name);
const AttributeDeclaration* FindAttribute(const OpDeclaration& op, const char* name);

}  // namespace pqv

#endif  // PQV_BINDINGS_DECLARATION_H_
