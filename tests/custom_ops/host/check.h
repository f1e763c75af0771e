// What an op gives against what its case says.

#ifndef PQV_TESTS_CUSTOM_OPS_HOST_CHECK_H_
#define PQV_TESTS_CUSTOM_OPS_HOST_CHECK_H_

#include "host/case.h"
#include "host/node.h"

namespace pqv {

// The op of a case; ends the program if the library has none.
inline const OrtCustomOp* OpOf(const Case& one, const OrtSessionOptions& options) {
  const OrtCustomOp* op = FindOp(options, one.op());
  if (op == nullptr) Fail("%s: the library has no op %s", one.path(), one.op());
  return op;
}

// Ends the program unless a node gave the output that was expected, and frees it.
inline void CheckOutput(const Case& one, const OrtStatus* status, OrtValue* found) {
  if (status != nullptr) Fail("%s: %s", one.path(), status->message);
  const OrtValue& expected = one.expected();
  if (found->type != expected.type || found->rank != expected.rank ||
      memcmp(found->dims, expected.dims, sizeof(found->dims)) != 0) {
    Fail("%s: %s gives another type or shape than expected", one.path(), one.op());
  }
  if (found->bytes > 0 && memcmp(found->data, expected.data, found->bytes) != 0) {
    Fail("%s: %s gives other values than expected", one.path(), one.op());
  }
  if (found->data[found->bytes] != 0x55) {
    Fail("%s: %s writes beyond its output", one.path(), one.op());
  }
  FreeValue(found);
}

// Runs a node twice.
inline void CheckRuns(const Case& one, const Node& node) {
  for (int run = 0; run < 2; ++run) {
    OrtValue* output = nullptr;
    const OrtStatus* status = node.Run(&output);
    CheckOutput(one, status, output);
  }
}

// Makes the node of a case and runs it, or sees it refused.
inline void CheckCase(const Case& one, const OrtSessionOptions& options) {
  const Node node(OpOf(one, options), one.node());
  const OrtStatus* status = node.status();
  if (one.error()[0] == '\0') {
    if (status != nullptr) Fail("%s: %s", one.path(), status->message);
    return CheckRuns(one, node);
  }
  if (status == nullptr) Fail("%s: accepted, expected the error \"%s\"", one.path(), one.error());
  if (strstr(status->message, one.error()) == nullptr) {
    Fail("%s: the error is \"%s\", expected \"%s\"", one.path(), status->message, one.error());
  }
}

inline void CheckReleased() {
  if (LiveObjects() != 0) Fail("%d objects were not released", LiveObjects());
}

}  // namespace pqv

#endif  // PQV_TESTS_CUSTOM_OPS_HOST_CHECK_H_
