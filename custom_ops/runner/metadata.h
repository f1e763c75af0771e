// What a model's metadata says of its images. docs/metadata.md has the rules; the limits are those
// of pqv_onnx/runtime/preprocess.py.

#ifndef PQV_RUNNER_METADATA_H_
#define PQV_RUNNER_METADATA_H_

#include "runner/resize.h"
#include "runner/session.h"

namespace pqv {

constexpr size_t kMaxImageChannels = 3;

enum class InputKind {
  kFloat,  // normalised
  kUint8,  // pixels
  kImage,  // of any size, which the model resizes and crops itself
};

struct Preprocessing {
  size_t channels;
  size_t height;
  size_t width;
  float mean[kMaxImageChannels];
  float std[kMaxImageChannels];
  double crop;
  Filter filter;
  bool squashes;  // images to the model's proportions
  InputKind kind;
  bool is_nhwc;
};

// Whether the model takes one image of any size, rather than inputs of its own size.
bool TakesImage(const Session& session);

// Ends the program if an entry is missing or breaks its rule, or if they do not fit the input of
// the model.
Preprocessing ReadPreprocessing(const Session& session);

}  // namespace pqv

#endif  // PQV_RUNNER_METADATA_H_
