// A stand-in for onnxruntime: the part of its C API that op libraries call, on plain structures.
// Slots that our declarations leave unnamed are null, so that a call of one is noticed.

#ifndef PQV_TESTS_CUSTOM_OPS_HOST_STAND_IN_H_
#define PQV_TESTS_CUSTOM_OPS_HOST_STAND_IN_H_

#include "ort/c_api.h"
#include "runner/buffer.h"

namespace pqv {

constexpr size_t kMaxRank = 16;

}  // namespace pqv

// A tensor.
struct OrtValue {
  ONNXTensorElementDataType type;
  size_t rank;
  int64_t dims[pqv::kMaxRank];
  size_t bytes;
  char* data;
};

// An attribute of a node: a string or an integer.
struct Attribute {
  const char* name;
  const char* text;  // null: an integer
  int64_t integer;
};

// A node as its kernel is made for it.
struct OrtKernelInfo {
  pqv::Buffer<Attribute> attributes;
  pqv::Buffer<const OrtValue*> inputs;
  pqv::Buffer<bool> is_constant;
};

// A node as its kernel runs. The output gets the type of `output_type`.
struct OrtKernelContext {
  const OrtKernelInfo* node;
  ONNXTensorElementDataType output_type;
  OrtValue* output;
};

struct OrtStatus {
  char* message;
};

// What a library registered.
struct OrtSessionOptions {
  pqv::Buffer<const OrtCustomOp*> ops;
};

namespace pqv {

const OrtApiBase* StandIn();

// Sets the bytes of a tensor with type and shape; false if they are more than a gigabyte.
bool CountBytes(OrtValue* value);

// Both take null, too.
void FreeValue(OrtValue* value);
void ReleaseStatus(OrtStatus* status);

// Has tasks of an op run on as many threads from now on; without it they run one after the other.
void SetThreads(size_t threads);

// Things that were made by calls of the stand-in and not released by now: statuses and descriptions
// of tensors.
int LiveObjects();

}  // namespace pqv

#endif  // PQV_TESTS_CUSTOM_OPS_HOST_STAND_IN_H_
