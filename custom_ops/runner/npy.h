// NumPy's file format for one array (https://numpy.org/doc/stable/reference/generated/
// numpy.lib.format.html).

#ifndef PQV_RUNNER_NPY_H_
#define PQV_RUNNER_NPY_H_

#include "runner/port.h"

namespace pqv {

// Takes the header off the bytes of a .npy file. Ends the program unless its elements have the type
// of `port` and its shape is that of `port` with any number of inputs in place of the first
// dimension. `path` is for errors.
void StripNpyHeader(const char* path, const Port& port, Buffer<uint8_t>* bytes);

}  // namespace pqv

#endif  // PQV_RUNNER_NPY_H_
