#include "runner/npy.h"

#include <stdio.h>

namespace pqv {

namespace {

const char* NpyType(ONNXTensorElementDataType type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
      return "'<f4'";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
      return "'|u1'";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8:
      return "'|i1'";
    default:
      return "'<i4'";
  }
}

// What follows a key of the header, which is a Python dictionary of literals; null without the key.
const char* ValueOf(const char* header, const char* key) {
  const char* found = strstr(header, key);
  if (found == nullptr) return nullptr;
  found += strlen(key);
  while (*found == ' ' || *found == ':') ++found;
  return found;
}

bool HasPrefix(const char* text, const char* prefix) {
  return text != nullptr && strncmp(text, prefix, strlen(prefix)) == 0;
}

// The dimensions of a text like "(3, 224, 224), ...".
Buffer<int64_t> ParseShape(const char* text) {
  Buffer<int64_t> shape;
  for (const char* at = text + 1; *at >= '0' && *at <= '9';) {
    char* end = nullptr;
    shape.Append(static_cast<int64_t>(strtoll(at, &end, 10)));
    at = end;
    while (*at == ',' || *at == ' ') ++at;
  }
  return shape;
}

bool Fits(const Buffer<int64_t>& found, const Buffer<int64_t>& expected) {
  if (found.size() != expected.size() || found.size() == 0) return false;
  return memcmp(found.data() + 1, expected.data() + 1, (found.size() - 1) * sizeof(int64_t)) == 0;
}

// A shape as text: "[1, 3, 224, 224]".
void PrintShape(const Buffer<int64_t>& shape, char* text, size_t room) {
  size_t used = static_cast<size_t>(snprintf(text, room, "["));
  for (size_t i = 0; i < shape.size() && used < room; ++i) {
    used += static_cast<size_t>(snprintf(text + used, room - used, i == 0 ? "%lld" : ", %lld",
                                         static_cast<long long>(shape[i])));
  }
  if (used < room) snprintf(text + used, room - used, "]");
}

}  // namespace

void StripNpyHeader(const char* path, const Port& port, Buffer<uint8_t>* bytes) {
  constexpr size_t kFixed = 10;  // magic, version, length of the header in format 1
  const uint8_t* data = bytes->data();
  if (bytes->size() < kFixed || memcmp(data, "\x93NUMPY\x01", 7) != 0) {
    Fail("%s: not a .npy file of format 1", path);
  }
  const size_t length = static_cast<size_t>(data[8] | data[9] << 8);
  if (bytes->size() < kFixed + length) Fail("%s: the .npy header is cut off", path);
  Buffer<char> header;
  header.Append(reinterpret_cast<const char*>(data + kFixed), length);
  header.Append('\0');
  const char* type = ValueOf(header.data(), "'descr'");
  if (!HasPrefix(type, NpyType(port.type))) {
    Fail("%s: its elements are %.5s, expected %s as the model's input is", path,
         type == nullptr ? "undeclared" : type, TypeName(port.type));
  }
  if (!HasPrefix(ValueOf(header.data(), "'fortran_order'"), "False")) {
    Fail("%s: the array is in Fortran's order, expected C's", path);
  }
  const char* shape_text = ValueOf(header.data(), "'shape'");
  if (!HasPrefix(shape_text, "(")) Fail("%s: the .npy header has no shape", path);
  const Buffer<int64_t> shape = ParseShape(shape_text);
  if (!Fits(shape, port.shape)) {
    char found[256];
    char expected[256];
    PrintShape(shape, found, sizeof(found));
    PrintShape(port.shape, expected, sizeof(expected));
    Fail("%s: the shape is %s, expected %s with any first dimension", path, found, expected);
  }
  const size_t rest = bytes->size() - kFixed - length;
  const size_t each = port.ByteCount();
  if (rest % each != 0 || rest / each != static_cast<size_t>(shape[0])) {
    Fail("%s: found %zu bytes of data, expected %lld times %zu", path, rest,
         static_cast<long long>(shape[0]), each);
  }
  memmove(bytes->data(), bytes->data() + kFixed + length, rest);
  bytes->Resize(rest);
}

}  // namespace pqv
