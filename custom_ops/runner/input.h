// Files as inputs of a model.

#ifndef PQV_RUNNER_INPUT_H_
#define PQV_RUNNER_INPUT_H_

#include "runner/session.h"

namespace pqv {

// Reads a .npy, .raw or .bin file that holds one or more inputs of the model, one after another, or
// an image. Ends the program if the file holds something else, or no image for a model of images.
Inputs ReadInput(const char* path, const Session& session);

// One input of values that only depend on its size: bytes of all values, floats in [-2, 2). For a
// model of images it has the size that pqv_onnx/runtime/preprocess.py has for this.
Inputs MakeRandomInput(const Session& session);

}  // namespace pqv

#endif  // PQV_RUNNER_INPUT_H_
