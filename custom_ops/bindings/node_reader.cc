#include "bindings/node_reader.h"

#include <inttypes.h>

#include "kernels/common/fixed_point.h"

namespace pqv {
namespace {

// Whether the call succeeded; its status is not wanted.
bool Succeeds(const OrtApi* api, OrtStatus* status) {
  if (status == nullptr) return true;
  api->ReleaseStatus(status);
  return false;
}

}  // namespace

NodeReader::NodeReader(const OrtApi* api, const OrtKernelInfo* info, const char* op,
                       const TensorDefinition* inputs)
    : id_{api, op, {}}, info_(info), inputs_(inputs) {
  size_t size = 0;
  if (!Succeeds(api, api->KernelInfo_GetNodeName(info, nullptr, &size)) || size == 0) return;
  Array<char> name;
  if (!name.Allocate(size)) return;
  if (!Succeeds(api, api->KernelInfo_GetNodeName(info, name.data(), &size))) return;
  for (size_t i = 0; i + 1 < sizeof(id_.name) && i < size && name[i] != '\0'; ++i) {
    id_.name[i] = name[i];
  }
}

void NodeReader::NoteAttribute(const char* name) const {
  for (size_t i = 0; i < kAttributeCount; ++i) {
    if (strcmp(kAttributes[i], name) == 0) is_asked_for_[i] = true;
  }
}

OrtStatus* NodeReader::CheckNoOtherAttribute() const {
  for (size_t i = 0; i < kAttributeCount; ++i) {
    if (!is_asked_for_[i] && HasAttribute(kAttributes[i])) {
      return Error(id_, "attribute %s is unknown, the op has none of that name", kAttributes[i]);
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

OrtStatus* NodeReader::Int(const char* name, int64_t low, int64_t high, int64_t* value) const {
  NoteAttribute(name);
  if (!Succeeds(id_.api, id_.api->KernelInfoGetAttribute_int64(info_, name, value))) {
    return Error(id_, "attribute %s is %s, expected an integer in [%" PRId64 ", %" PRId64 "]", name,
                 HasAttribute(name) ? "no integer" : "missing", low, high);
  }
  if (*value < low || *value > high) {
    return Error(id_, "attribute %s is %" PRId64 ", expected [%" PRId64 ", %" PRId64 "]", name,
                 *value, low, high);
  }
  return nullptr;
}

OrtStatus* NodeReader::Int(const char* name, int64_t low, int64_t high, int* value) const {
  int64_t wide = 0;
  PQV_RETURN_IF_ERROR(Int(name, low, high, &wide));
  *value = static_cast<int>(wide);
  return nullptr;
}

OrtStatus* NodeReader::YBits(int* value) const {
  *value = 8;
  NoteAttribute("y_bits");
  if (!HasAttribute("y_bits")) return nullptr;
  PQV_RETURN_IF_ERROR(Int("y_bits", 4, 8, value));
  if (*value != 4 && *value != 8) {
    return Error(id_, "attribute y_bits is %d, expected 4 or 8", *value);
  }
  return nullptr;
}

OrtStatus* NodeReader::String(const char* name, const char* expected) const {
  NoteAttribute(name);
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

OrtStatus* NodeReader::ConstantTensor(size_t index, TensorView* view) const {
  int is_constant = 0;
  const OrtValue* value = nullptr;
  PQV_RETURN_IF_ERROR(
      id_.api->KernelInfoGetConstantInput_tensor(info_, index, &is_constant, &value));
  if (!is_constant || value == nullptr) {
    return Error(id_, "input %s is computed or missing, expected a constant", InputName(index));
  }
  return ReadTensor(id_, inputs_[index], value, view);
}

OrtStatus* NodeReader::Constant(size_t index, const Shape& shape, const void** data) const {
  TensorView view;
  PQV_RETURN_IF_ERROR(ConstantTensor(index, &view));
  if (!SameShape(view.shape, shape)) {
    return Error(id_, "input %s has shape %s, expected %s", InputName(index),
                 ShapeText(view.shape).text, ShapeText(shape).text);
  }
  *data = view.data;
  return nullptr;
}

OrtStatus* NodeReader::ConstantShape(size_t index, size_t rank, Shape* shape) const {
  TensorView view;
  PQV_RETURN_IF_ERROR(ConstantTensor(index, &view));
  if (view.shape.rank != rank) {
    return Error(id_, "input %s has shape %s, expected %zu dimensions", InputName(index),
                 ShapeText(view.shape).text, rank);
  }
  *shape = view.shape;
  return nullptr;
}

OrtStatus* NodeReader::ChannelCount(size_t index, size_t max, size_t* channels) const {
  TensorView view;
  PQV_RETURN_IF_ERROR(ConstantTensor(index, &view));
  *channels = view.shape.rank == 1 ? static_cast<size_t>(view.shape.dims[0]) : 0;
  if (*channels >= 1 && *channels <= max) return nullptr;
  return Error(id_, "input %s has shape %s, expected one dimension in [1, %zu]", InputName(index),
               ShapeText(view.shape).text, max);
}

OrtStatus* NodeReader::OutOfRange(size_t index, size_t channel, int64_t value, int64_t low,
                                  int64_t high) const {
  return Error(id_, "input %s is %" PRId64 " at %zu, expected [%" PRId64 ", %" PRId64 "]",
               InputName(index), value, channel, low, high);
}

OrtStatus* RequantizerArrays::Create(const NodeReader& reader, size_t index, size_t channels) {
  PQV_RETURN_IF_ERROR(reader.Channels(index, channels, kMinShift, kMaxShift, &shift_));
  PQV_RETURN_IF_ERROR(
      reader.Channels(index + 1, channels, -kMaxMultiplier, kMaxMultiplier, &multiplier_));
  const size_t padded = PaddedChannels(channels);
  if (!right_shift_.Allocate(padded) || !rounding_.Allocate(padded) ||
      !left_shift_.Allocate(padded)) {
    return OutOfMemory(reader.id(), "the requantizer");
  }
  for (size_t i = 0; i < channels; ++i) {
    const int shift = shift_[i];
    right_shift_[i] = shift > 0 ? shift : 0;
    rounding_[i] = shift > 0 ? 1 << (shift - 1) : 0;
    left_shift_[i] = shift < 0 ? -shift : 0;
    has_left_shift_ = has_left_shift_ || shift < 0;
  }
  return nullptr;
}

}  // namespace pqv
