// What the op library tells of itself.

#ifndef PQV_RUNNER_LIBRARY_H_
#define PQV_RUNNER_LIBRARY_H_

#include "runner/session.h"

namespace pqv {

// The JSON text of the library's op Info: version, variants, the selected one. Ends with a zero.
Buffer<char> LibraryInfo(const Runtime& runtime);

// Ends the program if the model was exported for another version of the op domain than the library
// has: onnxruntime would run it on these ops all the same.
void CheckOpDomainVersion(const char* model, const Session& session, const Buffer<char>& info);

}  // namespace pqv

#endif  // PQV_RUNNER_LIBRARY_H_
