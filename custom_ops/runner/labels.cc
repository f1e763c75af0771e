#include "runner/labels.h"

namespace pqv {

Buffer<const char*> ReadLabels(const Session& session) {
  Buffer<const char*> labels;
  const char* text = session.Metadata("pqv.labels");
  if (text == nullptr) return labels;
  char* line = strdup(text);
  if (line == nullptr) Fail("out of memory");
  while (line != nullptr) {
    labels.Append(line);
    line = strchr(line, '\n');
    if (line != nullptr) *line++ = '\0';
  }
  return labels;
}

}  // namespace pqv
