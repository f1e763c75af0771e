#include "bindings/node_reader.h"

#include <inttypes.h>

#include "bindings/declarations.h"

namespace pqv {
namespace {

// Whether the call succeeded; its status is not wanted.
bool Succeeds(const OrtApi* api, OrtStatus* status) {
  if (status == nullptr) return true;
  api->ReleaseStatus(status);
  return false;
}

}  // namespace

NodeReader::NodeReader(const OrtApi* api, const OrtKernelInfo* info, const OpDeclaration& op)
    : id_{api, op.name, {}}, info_(info), op_(op) {
  size_t size = 0;
  if (!Succeeds(api, api->KernelInfo_GetNodeName(info, nullptr, &size)) || size == 0) return;
  Array<char> name;
  if (!name.Allocate(size)) return;
  if (!Succeeds(api, api->KernelInfo_GetNodeName(info, name.data(), &size))) return;
  for (size_t i = 0; i + 1 < sizeof(id_.name) && i < size && name[i] != '\0'; ++i) {
    id_.name[i] = name[i];
  }
}

OrtStatus* NodeReader::CheckNoOtherAttribute() const {
  for (const char* name : kAttributeNames) {
    if (FindAttribute(op_, name) == nullptr && HasAttribute(name)) {
      return Error(id_, "attribute %s is unknown, the op has none of that name", name);
    }
  }
  return nullptr;
}

// onnxruntime tells an absent attribute from one of another type only in words.
bool NodeReader::HasAttribute(const char* name) const {
  const OrtApi* api = id_.api;
  int64_t integer = 0;
  float real = 0;
  size_t size = 0;
  return Succeeds(api, api->KernelInfoGetAttribute_int64(info_, name, &integer)) ||
         Succeeds(api, api->KernelInfoGetAttribute_float(info_, name, &real)) ||
         Succeeds(api, api->KernelInfoGetAttribute_string(info_, name, nullptr, &size)) ||
         Succeeds(api, api->KernelInfoGetAttributeArray_int64(info_, name, nullptr, &size));
}

OrtStatus* NodeReader::ReadInt(const char* name, int64_t* value) const {
  const AttributeDeclaration* declared = FindAttribute(op_, name);
  if (declared == nullptr) return Error(id_, "the op declares no attribute %s", name);
  const int64_t low = declared->low;
  int64_t high = declared->high;
  if (declared->below != nullptr) {
    PQV_RETURN_IF_ERROR(ReadInt(declared->below, &high));
    --high;
  }
  if (!Succeeds(id_.api, id_.api->KernelInfoGetAttribute_int64(info_, name, value))) {
    const bool has_other = HasAttribute(name);
    *value = declared->absent;
    if (!has_other && declared->absent != kRequired) return nullptr;
    return Error(id_, "attribute %s is %s, expected an integer in [%" PRId64 ", %" PRId64 "]", name,
                 has_other ? "no integer" : "missing", low, high);
  }
  if (*value >= low && *value <= high) return nullptr;
  return Error(id_, "attribute %s is %" PRId64 ", expected [%" PRId64 ", %" PRId64 "]", name,
               *value, low, high);
}

OrtStatus* NodeReader::String(const char* name) const {
  const AttributeDeclaration* declared = FindAttribute(op_, name);
  if (declared == nullptr) return Error(id_, "the op declares no attribute %s", name);
  const char* expected = declared->text;
  char value[64];
  size_t size = 0;
  const OrtApi* api = id_.api;
  if (!Succeeds(api, api->KernelInfoGetAttribute_string(info_, name, nullptr, &size))) {
    return Error(id_, "attribute %s is %s, expected the string \"%s\"", name,
                 HasAttribute(name) ? "no string" : "missing", expected);
  }
  if (size > sizeof(value)) {
    return Error(id_, "attribute %s has %zu characters, expected \"%s\"", name, size - 1, expected);
  }
  PQV_RETURN_IF_ERROR(api->KernelInfoGetAttribute_string(info_, name, value, &size));
  for (size_t i = 0; i + 1 < size; ++i) {
    if (value[i] == '\0') value[i] = '?';
  }
  if (size != strlen(expected) + 1 || memcmp(value, expected, size) != 0) {
    return Error(id_, "attribute %s is \"%s\", expected \"%s\"", name, value, expected);
  }
  return nullptr;
}

OrtStatus* NodeReader::ConstantTensor(const char* name, TensorView* view) const {
  const InputDeclaration* declared = FindInput(op_, name);
  if (declared == nullptr) return Error(id_, "the op declares no input %s", name);
  int is_constant = 0;
  const OrtValue* value = nullptr;
  PQV_RETURN_IF_ERROR(id_.api->KernelInfoGetConstantInput_tensor(
      info_, static_cast<size_t>(declared - op_.inputs), &is_constant, &value));
  if (!is_constant || value == nullptr) {
    return Error(id_, "input %s is computed or missing, expected a constant", name);
  }
  return ReadTensor(id_, *declared, value, view);
}

OrtStatus* NodeReader::Constant(const char* name, const Shape& shape, const void** data) const {
  TensorView view;
  PQV_RETURN_IF_ERROR(ConstantTensor(name, &view));
  if (!SameShape(view.shape, shape)) {
    return Error(id_, "input %s has shape %s, expected %s", name, ShapeText(view.shape).text,
                 ShapeText(shape).text);
  }
  *data = view.data;
  return nullptr;
}

OrtStatus* NodeReader::ConstantShape(const char* name, Shape* shape) const {
  TensorView view;
  PQV_RETURN_IF_ERROR(ConstantTensor(name, &view));
  const size_t rank = FindInput(op_, name)->rank;
  if (view.shape.rank != rank) {
    return Error(id_, "input %s has shape %s, expected %zu dimensions", name,
                 ShapeText(view.shape).text, rank);
  }
  *shape = view.shape;
  return nullptr;
}

OrtStatus* NodeReader::ChannelCount(const char* name, size_t max, size_t* channels) const {
  TensorView view;
  PQV_RETURN_IF_ERROR(ConstantTensor(name, &view));
  *channels = view.shape.rank == 1 ? static_cast<size_t>(view.shape.dims[0]) : 0;
  if (*channels >= 1 && *channels <= max) return nullptr;
  return Error(id_, "input %s has shape %s, expected one dimension in [1, %zu]", name,
               ShapeText(view.shape).text, max);
}

OrtStatus* NodeReader::OutOfRange(const InputDeclaration& input, size_t place,
                                  int64_t value) const {
  return Error(id_, "input %s is %" PRId64 " at %zu, expected [%d, %d]", input.name, value, place,
               input.low, input.high);
}

OrtStatus* RequantizerArrays::Create(const NodeReader& reader, size_t channels) {
  PQV_RETURN_IF_ERROR(reader.Channels("shift", channels, &shift_));
  PQV_RETURN_IF_ERROR(reader.Channels("multiplier", channels, &multiplier_));
  const size_t padded = PaddedChannels(channels);
  if (!right_shift_.Allocate(padded) || !rounding_.Allocate(padded) ||
      !left_shift_.Allocate(padded) || !upper_shift_.Allocate(padded)) {
    return OutOfMemory(reader.id(), "the requantizer");
  }
  for (size_t i = 0; i < channels; ++i) {
    const int shift = shift_[i];
    right_shift_[i] = shift > 0 ? shift : 0;
    rounding_[i] = shift > 0 ? 1 << (shift - 1) : 0;
    left_shift_[i] = shift < 0 ? -shift : 0;
    upper_shift_[i] = 16 - shift;
    has_left_shift_ = has_left_shift_ || shift < 0;
  }
  return nullptr;
}

}  // namespace pqv
