#include "runner/timing.h"

#include <time.h>

namespace pqv {

double Milliseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

Timing Summarize(Buffer<double>* times) {
  qsort(times->data(), times->size(), sizeof(double), [](const void* a, const void* b) {
    const double x = *static_cast<const double*>(a);
    const double y = *static_cast<const double*>(b);
    return static_cast<int>(x > y) - static_cast<int>(x < y);
  });
  const size_t count = times->size();
  const auto percentile = [&](size_t percent) {
    return (*times)[(count * percent + 99) / 100 - 1];
  };
  double sum = 0;
  for (const double time : *times) sum += time;
  return {count,          (*times)[0],    sum / static_cast<double>(count),
          percentile(50), percentile(90), percentile(99)};
}

Timing TimeRuns(Session* session, const Inputs& input, unsigned warmup, unsigned runs) {
  for (unsigned i = 0; i < warmup; ++i) session->Run(input);
  Buffer<double> times;
  for (unsigned i = 0; i < runs; ++i) {
    const double start = Milliseconds();
    session->Run(input);
    times.Append(Milliseconds() - start);
  }
  return Summarize(&times);
}

}  // namespace pqv
