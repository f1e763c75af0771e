// The command line.

#ifndef PQV_RUNNER_OPTIONS_H_
#define PQV_RUNNER_OPTIONS_H_

#include <stdint.h>

#include "runner/buffer.h"

namespace pqv {

struct Options {
  const char* model = nullptr;
  Buffer<const char*> inputs;
  const char* onnxruntime = nullptr;  // null: the usual name, beside the program or as dlopen finds
  const char* library = nullptr;      // of ops; null: beside the program
  bool functions = false;             // no op library: the functions that the model carries
  unsigned threads = 1;
  unsigned top = 5;
  unsigned warmup = 3;
  unsigned runs = 0;      // 0: classify the inputs only
  uint64_t cpu_mask = 0;  // 0: leave the affinity alone
  bool profile = false;
  const char* output = nullptr;
  const char* json = nullptr;
  const char* sysfs = "/sys";
};

// Ends the program with a line if the command line is wrong, and after --help.
Options ParseOptions(int argc, char** argv);

}  // namespace pqv

#endif  // PQV_RUNNER_OPTIONS_H_
