#include "runner/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

namespace pqv {

namespace {

// The first line of the file that the format names, without its end; false if there is none.
__attribute__((format(printf, 3, 4))) bool ReadLine(char* line, int room, const char* format, ...) {
  char path[4096];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(path, sizeof(path), format, arguments);
  va_end(arguments);
  FILE* file = fopen(path, "r");
  if (file == nullptr) return false;
  const bool found = fgets(line, room, file) != nullptr;
  fclose(file);
  if (found) line[strcspn(line, "\n")] = '\0';
  return found;
}

double ReadMegahertz(const char* root, unsigned cpu, const char* name) {
  char line[64];
  if (!ReadLine(line, sizeof(line), "%s/devices/system/cpu/cpu%u/cpufreq/%s", root, cpu, name)) {
    return kUnknown;
  }
  return 1e-3 * strtod(line, nullptr);
}

// Names that vendors give to the sensors of the cores.
bool IsOfProcessor(const char* type) {
  constexpr const char* kWords[] = {"cpu", "CPU", "pkg", "cluster", "big", "BIG", "soc"};
  for (const char* word : kWords) {
    if (strstr(type, word) != nullptr) return true;
  }
  return false;
}

}  // namespace

double PeakMemoryBytes() {
  FILE* file = fopen("/proc/self/status", "r");
  if (file == nullptr) return kUnknown;
  constexpr char kKey[] = "VmHWM:";
  char line[256];
  double bytes = kUnknown;
  while (fgets(line, sizeof(line), file) != nullptr) {
    if (strncmp(line, kKey, strlen(kKey)) == 0) bytes = 1024 * strtod(line + strlen(kKey), nullptr);
  }
  fclose(file);
  return bytes;
}

Buffer<Clock> ReadClocks(const char* root, uint64_t mask) {
  Buffer<Clock> clocks;
  for (unsigned cpu = 0; cpu < 64; ++cpu) {
    char folder[4096];
    snprintf(folder, sizeof(folder), "%s/devices/system/cpu/cpu%u", root, cpu);
    if (access(folder, R_OK) != 0) break;
    if (mask != 0 && (mask >> cpu & 1) == 0) continue;
    clocks.Append({cpu, ReadMegahertz(root, cpu, "scaling_cur_freq"),
                   ReadMegahertz(root, cpu, "cpuinfo_max_freq")});
  }
  return clocks;
}

double ReadTemperature(const char* root) {
  double highest = kUnknown;
  char line[128];
  for (int zone = 0; zone < 128; ++zone) {
    if (!ReadLine(line, sizeof(line), "%s/class/thermal/thermal_zone%d/type", root, zone)) continue;
    if (!IsOfProcessor(line)) continue;
    if (!ReadLine(line, sizeof(line), "%s/class/thermal/thermal_zone%d/temp", root, zone)) continue;
    const double degrees = 1e-3 * strtod(line, nullptr);
    if (degrees > highest) highest = degrees;
  }
  return highest;
}

}  // namespace pqv
