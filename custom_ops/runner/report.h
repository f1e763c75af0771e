// Results: lines for people, and members of one JSON object.

#ifndef PQV_RUNNER_REPORT_H_
#define PQV_RUNNER_REPORT_H_

#include "runner/json.h"
#include "runner/profile.h"
#include "runner/timing.h"

namespace pqv {

// What runs, and how. `info` is what the op library tells of itself, null without it.
void ReportSetting(const Runtime& runtime, const Options& options, const char* info, Json* json);

// Input `index` of the `count` inputs in a file.
struct InputName {
  const char* path;
  size_t index;
  size_t count;
};

// An element of the array of results: the best classes of an input, the lower class first where two
// are equal, with percent: the softmax of the logits.
void ReportTop(const InputName& name, const float* logits, size_t count,
               const Buffer<const char*>& labels, unsigned top, Json* json);

// Clocks and temperature, `when` is "before" or "after".
void ReportMachine(const char* when, const Options& options, Json* json);

// Times, and the memory that the process took until now.
void ReportTiming(const Timing& timing, const Options& options, Json* json);

void ReportProfile(const Buffer<OpTime>& ops, Json* json);

}  // namespace pqv

#endif  // PQV_RUNNER_REPORT_H_
