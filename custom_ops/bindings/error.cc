#include "bindings/error.h"

#include <stdarg.h>
#include <stdio.h>

namespace pqv {

OrtStatus* MakeStatus(const OrtApi* api, OrtErrorCode code, char* message) {
  for (char* c = message; *c != '\0'; ++c) {
    if (*c < ' ' || *c > '~') *c = '?';
  }
  return api->CreateStatus(code, message);
}

OrtStatus* Error(const NodeId& node, const char* format, ...) {
  char sentence[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(sentence, sizeof(sentence), format, arguments);
  va_end(arguments);

  char message[768];
  const bool has_name = node.name[0] != '\0';
  snprintf(message, sizeof(message), "%s%s%s%s: %s", node.op, has_name ? " (node " : "", node.name,
           has_name ? ")" : "", sentence);
  return MakeStatus(node.api, ORT_INVALID_ARGUMENT, message);
}

OrtStatus* OutOfMemory(const NodeId& node, const char* what) {
  return Error(node, "there is not enough memory for %s", what);
}

}  // namespace pqv
