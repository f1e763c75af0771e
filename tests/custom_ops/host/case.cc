#include "host/case.h"

#include <string.h>

namespace pqv {

Memory::~Memory() {
  for (void* block : blocks_) free(block);
}

void* Memory::Allocate(size_t bytes) {
  void* block = calloc(1, bytes);
  if (block == nullptr) Fail("out of memory");
  blocks_.Append(block);
  return block;
}

Case::Case(const char* path, const uint8_t* bytes, size_t size)
    : path_(path), bytes_(bytes), left_(size) {
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
}

void Case::ReadExpectation() {
  error_ = Text();
  if (error_[0] == '\0') expected_ = Tensor();
}

const uint8_t* Case::Take(size_t count) {
  if (count > left_) Fail("%s: the case is cut off", path_);
  bytes_ += count;
  left_ -= count;
  return bytes_ - count;
}

uint32_t Case::Number() {
  uint32_t number = 0;
  memcpy(&number, Take(sizeof(number)), sizeof(number));
  return number;
}

const char* Case::Text() {
  const uint32_t length = Number();
  const uint8_t* bytes = Take(length);
  char* text = static_cast<char*>(memory_.Allocate(size_t{length} + 1));
  memcpy(text, bytes, length);
  return text;
}

const OrtValue* Case::Tensor() {
  OrtValue* value = static_cast<OrtValue*>(memory_.Allocate(sizeof(OrtValue)));
  const uint32_t type = Number();
  if (type > ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) Fail("%s: a tensor of type %u", path_, type);
  value->type = static_cast<ONNXTensorElementDataType>(type);
  value->rank = Number();
  if (value->rank > kMaxRank) Fail("%s: a tensor of rank %zu", path_, value->rank);
  for (size_t i = 0; i < value->rank; ++i) value->dims[i] = Number();
  if (!CountBytes(value)) Fail("%s: a tensor is too large", path_);
  // A copy, of the exact size and aligned, so that tools see what is read beyond its end. Of no
  // elements there is none, as in onnxruntime.
  const uint8_t* bytes = Take(value->bytes);
  if (value->bytes == 0) return value;
  value->data = static_cast<char*>(memory_.Allocate(value->bytes));
  memcpy(value->data, bytes, value->bytes);
  return value;
}

}  // namespace pqv
