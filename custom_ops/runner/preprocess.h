// Image files to model inputs, the way the model's metadata asks for.

#ifndef PQV_RUNNER_PREPROCESS_H_
#define PQV_RUNNER_PREPROCESS_H_

#include "runner/session.h"

namespace pqv {

// One image as one input: the same steps and bits as pqv_onnx/runtime/preprocess.py. Ends the
// program if the file is no image or the model does not say what it wants.
Inputs LoadImage(const char* path, const Session& session);

}  // namespace pqv

#endif  // PQV_RUNNER_PREPROCESS_H_
