// The arguments of pqv_run, a line each.

#include "runner/options.h"

#include <vector>

#include "fuzz/bytes.h"
#include "fuzz/fail.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pqv::Bytes bytes(data, size);
  std::vector<std::string> lines = {"pqv_run"};
  while (!bytes.empty()) lines.push_back(bytes.Line());
  std::vector<char*> arguments;
  for (std::string& line : lines) {
    if (line.c_str() == std::string("--help")) return 0;  // which ends the program
    arguments.push_back(line.data());
  }
  arguments.push_back(nullptr);
  try {
    pqv::ParseOptions(static_cast<int>(lines.size()), arguments.data());
  } catch (const pqv::Failed&) {
  }
  return 0;
}
