// Tensors of onnxruntime, checked: element type, rank, dimensions.

#ifndef PQV_BINDINGS_TENSOR_H_
#define PQV_BINDINGS_TENSOR_H_

#include <stddef.h>
#include <stdint.h>

#include "bindings/declaration.h"
#include "bindings/error.h"

namespace pqv {

constexpr size_t kMaxRank = 16;

struct Shape {
  size_t rank;
  int64_t dims[kMaxRank];

  int64_t Last() const { return dims[rank - 1]; }
};

// A shape as text, "[2, 3]", for messages.
struct ShapeText {
  char text[160];
  explicit ShapeText(const Shape& shape);
};

bool SameShape(const Shape& a, const Shape& b);

// The product of dims[begin .. end), 0 if one of them is; false if it does not fit.
bool Product(const Shape& shape, size_t begin, size_t end, size_t* product);

// An input as it came. `data` is never null: where a dimension is zero, it leads to nothing.
struct TensorView {
  const char* name;
  const void* data;
  Shape shape;
};

// Reads `value`, checking that it is a tensor of the declared type.
OrtStatus* ReadTensor(const NodeId& node, const InputDeclaration& input, const OrtValue* value,
                      TensorView* view);

const char* TypeName(ONNXTensorElementDataType type);

}  // namespace pqv

#endif  // PQV_BINDINGS_TENSOR_H_
