// Attributes and constant inputs of a node, read when it is created and checked against what the
// op declares.

#ifndef PQV_BINDINGS_NODE_READER_H_
#define PQV_BINDINGS_NODE_READER_H_

#include "bindings/array.h"
#include "bindings/tensor.h"
#include "kernels/common/requantizer.h"

namespace pqv {

class NodeReader {
 public:
  NodeReader(const OrtApi* api, const OrtKernelInfo* info, const OpDeclaration& op);

  const NodeId& id() const { return id_; }

  // An integer attribute.
  template <typename T>
  OrtStatus* Int(const char* name, T* value) const {
    int64_t wide = 0;
    PQV_RETURN_IF_ERROR(ReadInt(name, &wide));
    *value = static_cast<T>(wide);
    return nullptr;
  }

  // A string attribute: whether it is the declared one.
  OrtStatus* String(const char* name) const;

  // Refuses an attribute that only other ops of the domain have. The C API tells whether a node has
  // one of a name, not which it has.
  OrtStatus* CheckNoOtherAttribute() const;

  // A constant input of the given shape.
  OrtStatus* Constant(const char* name, const Shape& shape, const void** data) const;

  // The same, its elements looked at.
  template <typename T>
  OrtStatus* Constant(const char* name, const Shape& shape, const T** values) const {
    const void* data = nullptr;
    PQV_RETURN_IF_ERROR(Constant(name, shape, &data));
    *values = static_cast<const T*>(data);
    const InputDeclaration& input = *FindInput(op_, name);
    size_t count = 0;
    if (!Product(shape, 0, shape.rank, &count)) return OutOfMemory(id_, name);
    for (size_t i = 0; i < count; ++i) {
      const T value = (*values)[i];
      if (value < input.low || value > input.high) return OutOfRange(input, i, value);
    }
    return nullptr;
  }

  // The shape of a constant input.
  OrtStatus* ConstantShape(const char* name, Shape* shape) const;

  // The length of a constant input, which has one dimension of 1 .. max.
  OrtStatus* ChannelCount(const char* name, size_t max, size_t* channels) const;

  // A constant input [channels], its elements looked at, copied with channel padding.
  template <typename T>
  OrtStatus* Channels(const char* name, size_t channels, Array<T>* values) const {
    const T* data = nullptr;
    PQV_RETURN_IF_ERROR(Constant(name, {1, {static_cast<int64_t>(channels)}}, &data));
    if (!values->Allocate(PaddedChannels(channels))) return OutOfMemory(id_, name);
    for (size_t i = 0; i < channels; ++i) (*values)[i] = data[i];
    return nullptr;
  }

 private:
  bool HasAttribute(const char* name) const;
  OrtStatus* ReadInt(const char* name, int64_t* value) const;
  OrtStatus* ConstantTensor(const char* name, TensorView* view) const;
  OrtStatus* OutOfRange(const InputDeclaration& input, size_t place, int64_t value) const;

  NodeId id_;
  const OrtKernelInfo* info_;
  const OpDeclaration& op_;
};

// Owner of a ChannelRequantizer, from the inputs shift and multiplier.
class RequantizerArrays {
 public:
  OrtStatus* Create(const NodeReader& reader, size_t channels);

  ChannelRequantizer View() const {
    return {shift_.data(),      multiplier_.data(),  right_shift_.data(), rounding_.data(),
            left_shift_.data(), upper_shift_.data(), has_left_shift_};
  }

 private:
  Array<int8_t> shift_;
  Array<int16_t> multiplier_;
  Array<int32_t> right_shift_;
  Array<int32_t> rounding_;
  Array<int32_t> left_shift_;
  Array<int32_t> upper_shift_;
  bool has_left_shift_ = false;
};

}  // namespace pqv

#endif  // PQV_BINDINGS_NODE_READER_H_
