// Attributes and constant inputs of a node, read and validated when it is created.

#ifndef PQV_BINDINGS_NODE_READER_H_
#define PQV_BINDINGS_NODE_READER_H_

#include "bindings/array.h"
#include "bindings/tensor.h"
#include "kernels/common/requantizer.h"

namespace pqv {

// Attributes of any op of the domain. The C API tells whether a node has an attribute of a name,
// not which it has.
constexpr const char* kAttributes[] = {"K",
                                       "N",
                                       "a_zero_point",
                                       "b_zero_point",
                                       "epsilon",
                                       "layout",
                                       "log2",
                                       "mean_multiplier",
                                       "mean_shift",
                                       "multiplier",
                                       "num_heads",
                                       "pairs",
                                       "roll_height",
                                       "roll_width",
                                       "shift",
                                       "softmax_multiplier",
                                       "softmax_shift",
                                       "window_height",
                                       "window_width",
                                       "y_bits"};
constexpr size_t kAttributeCount = sizeof(kAttributes) / sizeof(kAttributes[0]);

class NodeReader {
 public:
  NodeReader(const OrtApi* api, const OrtKernelInfo* info, const char* op,
             const TensorDefinition* inputs);

  const NodeId& id() const { return id_; }
  const char* InputName(size_t index) const { return inputs_[index].name; }

  // A required integer attribute in [low, high].
  OrtStatus* Int(const char* name, int64_t low, int64_t high, int64_t* value) const;
  OrtStatus* Int(const char* name, int64_t low, int64_t high, int* value) const;

  // The attribute y_bits: 4 or 8, 8 where absent.
  OrtStatus* YBits(int* value) const;

  // A required string attribute that must be `expected`.
  OrtStatus* String(const char* name, const char* expected) const;

  // Refuses an attribute of the domain that was not asked for: the op does not have it.
  OrtStatus* CheckNoOtherAttribute() const;

  // Input `index` as a constant of the given shape.
  OrtStatus* Constant(size_t index, const Shape& shape, const void** data) const;

  // The same, each element in [low, high].
  template <typename T>
  OrtStatus* Constant(size_t index, const Shape& shape, int64_t low, int64_t high,
                      const T** values) const {
    const void* data = nullptr;
    PQV_RETURN_IF_ERROR(Constant(index, shape, &data));
    *values = static_cast<const T*>(data);
    size_t count = 0;
    if (!Product(shape, 0, shape.rank, &count)) return OutOfMemory(id_, InputName(index));
    for (size_t i = 0; i < count; ++i) {
      const T value = (*values)[i];
      if (value < low || value > high) return OutOfRange(index, i, value, low, high);
    }
    return nullptr;
  }

  // The shape of constant input `index`, which has `rank` dimensions.
  OrtStatus* ConstantShape(size_t index, size_t rank, Shape* shape) const;

  // The length of constant input `index`, which has one dimension of 1 .. max.
  OrtStatus* ChannelCount(size_t index, size_t max, size_t* channels) const;

  // Input `index` as a constant [channels], each in [low, high], copied with channel padding.
  template <typename T>
  OrtStatus* Channels(size_t index, size_t channels, int64_t low, int64_t high,
                      Array<T>* values) const {
    const void* data = nullptr;
    PQV_RETURN_IF_ERROR(Constant(index, {1, {static_cast<int64_t>(channels)}}, &data));
    if (!values->Allocate(PaddedChannels(channels))) return OutOfMemory(id_, InputName(index));
    for (size_t i = 0; i < channels; ++i) {
      const T value = static_cast<const T*>(data)[i];
      if (value < low || value > high) return OutOfRange(index, i, value, low, high);
      (*values)[i] = value;
    }
    return nullptr;
  }

 private:
  void NoteAttribute(const char* name) const;
  bool HasAttribute(const char* name) const;
  OrtStatus* ConstantTensor(size_t index, TensorView* view) const;
  OrtStatus* OutOfRange(size_t index, size_t channel, int64_t value, int64_t low,
                        int64_t high) const;

  NodeId id_;
  const OrtKernelInfo* info_;
  const TensorDefinition* inputs_;
  mutable bool is_asked_for_[kAttributeCount] = {};
};

// Owner of a ChannelRequantizer, from the inputs shift and multiplier at `index`, `index + 1`.
class RequantizerArrays {
 public:
  OrtStatus* Create(const NodeReader& reader, size_t index, size_t channels);

  ChannelRequantizer View() const {
    return {shift_.data(),    multiplier_.data(), right_shift_.data(),
            rounding_.data(), left_shift_.data(), has_left_shift_};
  }

 private:
  Array<int8_t> shift_;
  Array<int16_t> multiplier_;
  Array<int32_t> right_shift_;
  Array<int32_t> rounding_;
  Array<int32_t> left_shift_;
  bool has_left_shift_ = false;
};

}  // namespace pqv

#endif  // PQV_BINDINGS_NODE_READER_H_
