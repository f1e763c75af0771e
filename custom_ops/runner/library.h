// What the op library tells of itself.

#ifndef PQV_RUNNER_LIBRARY_H_
#define PQV_RUNNER_LIBRARY_H_

#include "runner/runtime.h"

namespace pqv {

// The JSON text of the library's op Info: version, variants, the selected one.
Buffer<char> LibraryInfo(const Runtime& runtime);

}  // namespace pqv

#endif  // PQV_RUNNER_LIBRARY_H_
