// Time by op, from onnxruntime's profiler.

#ifndef PQV_RUNNER_PROFILE_H_
#define PQV_RUNNER_PROFILE_H_

#include "runner/session.h"

namespace pqv {

// What the nodes of one op type take in one inference.
struct OpTime {
  const char* op;
  size_t nodes;
  double ms;  // median per node over the runs, summed over the nodes
};

// Runs the model with the profiler on and reads its file, which is deleted. Returns one entry per
// op, the longest first, and at the end one for the time between nodes.
Buffer<OpTime> ProfileRuns(const Runtime& runtime, const char* model, const Inputs& input,
                           unsigned warmup, unsigned runs);

}  // namespace pqv

#endif  // PQV_RUNNER_PROFILE_H_
