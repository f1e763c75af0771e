// Names of a model's classes.

#ifndef PQV_RUNNER_LABELS_H_
#define PQV_RUNNER_LABELS_H_

#include "runner/buffer.h"
#include "runner/session.h"

namespace pqv {

// The lines of the metadata entry pqv.labels, for good; nothing if the model has none.
Buffer<const char*> ReadLabels(const Session& session);

}  // namespace pqv

#endif  // PQV_RUNNER_LABELS_H_
