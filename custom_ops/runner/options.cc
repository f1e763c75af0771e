#include "runner/options.h"

#include <errno.h>
#include <stdio.h>

namespace pqv {

namespace {

const char kHelp[] =
    "pqv_run [OPTION]... MODEL [INPUT]...\n"
    "\n"
    "Runs an exported .onnx file with onnxruntime and the pqv op library: shows the best classes\n"
    "of each input with percent, and with --runs how long one inference takes.\n"
    "\n"
    "An INPUT is a JPEG or PNG image, which is prepared as the model's metadata says; or a .npy\n"
    "file, or a .raw or .bin file of the bytes of one or more inputs in the model's own type and\n"
    "layout.\n"
    "\n"
    "  --onnxruntime FILE  libonnxruntime.so; by default beside this program, else on the\n"
    "                      system's search path\n"
    "  --library FILE      libpqv_ops.so; by default beside this program\n"
    "  --functions         run without the op library, by the functions that the model carries\n"
    "  --threads N         threads within an op, at most 1024 (1)\n"
    "  --cpu-mask HEX      the cores to run on, bit 0 for core 0 (all)\n"
    "  --top K             classes to show (5)\n"
    "  --runs N            time N inferences, of the first input or else of random data\n"
    "  --warmup N          inferences before the timed ones (3)\n"
    "  --profile           show the time by op, too, from as many runs of onnxruntime's profiler;\n"
    "                      its file is for a moment in $TMPDIR, else in the current folder\n"
    "  --output FILE       write the output of every input, as bytes, one after another\n"
    "  --json FILE         write the result as JSON\n"
    "  --sysfs FOLDER      where clocks and temperatures are read (/sys)\n"
    "  --help              show this\n";

uint64_t ParseNumber(const char* name, const char* text, int base, uint64_t minimum,
                     uint64_t maximum) {
  char* end = nullptr;
  errno = 0;
  const uint64_t value = strtoull(text, &end, base);
  if (text[0] == '\0' || text[0] == '-' || *end != '\0' || errno != 0 || value < minimum ||
      value > maximum) {
    if (base == 16) FailUsage("%s %s: expected a hexadecimal mask, not zero", name, text);
    FailUsage("%s %s: expected a whole number from %llu to %llu", name, text,
              static_cast<unsigned long long>(minimum), static_cast<unsigned long long>(maximum));
  }
  return value;
}

constexpr unsigned kMaxThreads = 1024;
constexpr unsigned kMaxCount = 1000000;

unsigned ParseCount(const char* name, const char* text, unsigned minimum,
                    unsigned maximum = kMaxCount) {
  return static_cast<unsigned>(ParseNumber(name, text, 10, minimum, maximum));
}

// Takes an option that has a value; false if there is none of that name.
bool TakeValue(const char* name, const char* value, Options* options) {
  const auto is = [name](const char* other) { return strcmp(name, other) == 0; };
  if (is("--onnxruntime")) {
    options->onnxruntime = value;
  } else if (is("--library")) {
    options->library = value;
  } else if (is("--threads")) {
    options->threads = ParseCount(name, value, 1, kMaxThreads);
  } else if (is("--cpu-mask")) {
    options->cpu_mask = ParseNumber(name, value, 16, 1, UINT64_MAX);
  } else if (is("--top")) {
    options->top = ParseCount(name, value, 1);
  } else if (is("--runs")) {
    options->runs = ParseCount(name, value, 1);
  } else if (is("--warmup")) {
    options->warmup = ParseCount(name, value, 0);
  } else if (is("--output")) {
    options->output = value;
  } else if (is("--json")) {
    options->json = value;
  } else if (is("--sysfs")) {
    options->sysfs = value;
  } else {
    return false;
  }
  return true;
}

}  // namespace

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const char* argument = argv[i];
    if (strcmp(argument, "--help") == 0) {
      fputs(kHelp, stdout);
      if (fflush(stdout) != 0) Fail("the standard output cannot be written");
      exit(0);
    } else if (strcmp(argument, "--functions") == 0) {
      options.functions = true;
    } else if (strcmp(argument, "--profile") == 0) {
      options.profile = true;
    } else if (strncmp(argument, "--", 2) == 0) {
      // The last argument has no value; an empty one is refused by all that take it.
      const char* value = i + 1 < argc ? argv[i + 1] : "";
      if (!TakeValue(argument, value, &options)) FailUsage("%s: no such option", argument);
      if (value[0] == '\0') FailUsage("%s: expected a value", argument);
      ++i;
    } else if (options.model == nullptr) {
      options.model = argument;
    } else {
      options.inputs.Append(argument);
    }
  }
  if (options.model == nullptr) FailUsage("expected a MODEL");
  if (options.inputs.size() == 0 && options.runs == 0) FailUsage("expected an INPUT or --runs");
  if (options.output != nullptr && options.inputs.size() == 0) {
    FailUsage("--output: expected an INPUT, too");
  }
  if (options.profile && options.runs == 0) FailUsage("--profile: expected --runs, too");
  return options;
}

}  // namespace pqv
