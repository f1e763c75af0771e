// Errors as OrtStatus: one sentence that names the op and the node.

#ifndef PQV_BINDINGS_ERROR_H_
#define PQV_BINDINGS_ERROR_H_

#include "ort/c_api.h"

// Evaluates to a return from the calling function unless the expression is null (success).
#define PQV_RETURN_IF_ERROR(expression)     \
  do {                                      \
    OrtStatus* status_ = (expression);      \
    if (status_ != nullptr) return status_; \
  } while (false)

namespace pqv {

// Who an error is about.
struct NodeId {
  const OrtApi* api;
  const char* op;
  char name[128];  // of the node, cut to fit; empty if it has none
};

// A status with `message`, of which everything but printable ASCII becomes '?': names and strings
// of a model may hold anything, and a message is one line of valid UTF-8.
OrtStatus* MakeStatus(const OrtApi* api, OrtErrorCode code, char* message);

// `format` and what follows continue the sentence "Op (node X): ".
[[gnu::format(printf, 2, 3)]] OrtStatus* Error(const NodeId& node, const char* format, ...);

OrtStatus* OutOfMemory(const NodeId& node, const char* what);

}  // namespace pqv

#endif  // PQV_BINDINGS_ERROR_H_
