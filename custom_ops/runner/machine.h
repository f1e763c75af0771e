// What the machine tells of itself: memory, clock, temperature.

#ifndef PQV_RUNNER_MACHINE_H_
#define PQV_RUNNER_MACHINE_H_

#include <stdint.h>

#include "runner/buffer.h"

namespace pqv {

constexpr double kUnknown = -1;  // of what the system does not tell

// The most memory that this process has had at once, in bytes (VmHWM).
double PeakMemoryBytes();

// The clock of a core.
struct Clock {
  unsigned cpu;
  double mhz;
  double maximum_mhz;
};

// The clocks of the cores of `mask`, all for 0, from a sysfs at `root`.
Buffer<Clock> ReadClocks(const char* root, uint64_t mask);

// The highest temperature of a sensor of the processor, in degrees Celsius, from a sysfs at `root`.
double ReadTemperature(const char* root);

}  // namespace pqv

#endif  // PQV_RUNNER_MACHINE_H_
