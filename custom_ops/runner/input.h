// Files as inputs of a model.

#ifndef PQV_RUNNER_INPUT_H_
#define PQV_RUNNER_INPUT_H_

#include "runner/session.h"

namespace pqv {

// Reads a .npy, .raw or .bin file that holds one or more inputs of the model, one after another, or
// an image. Returns their bytes. Ends the program if the file holds something else.
Buffer<uint8_t> ReadInput(const char* path, const Session& session);

// One input of values that only depend on its size: bytes of all values, floats in [-2, 2).
Buffer<uint8_t> MakeRandomInput(const Port& port);

}  // namespace pqv

#endif  // PQV_RUNNER_INPUT_H_
