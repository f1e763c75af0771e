// How long an inference takes.

#ifndef PQV_RUNNER_TIMING_H_
#define PQV_RUNNER_TIMING_H_

#include "runner/session.h"

namespace pqv {

// A clock that never goes back.
double Milliseconds();

// All times in milliseconds.
struct Timing {
  size_t runs;
  double minimum;
  double mean;
  double p50;
  double p90;
  double p99;
};

// Sorts times in milliseconds, at least one, and summarises them. A percentile is the smallest time
// that at least so many percent of the runs did not exceed.
Timing Summarize(Buffer<double>* times);

// Runs `session` on `input` and times all runs but the first `warmup`.
Timing TimeRuns(Session* session, const Inputs& input, unsigned warmup, unsigned runs);

}  // namespace pqv

#endif  // PQV_RUNNER_TIMING_H_
