#include "runner/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

namespace pqv {

namespace {

void PrintLine(const char* format, va_list arguments, const char* end) {
  fflush(stdout);
  fputs("pqv_run: error: ", stderr);
  vfprintf(stderr, format, arguments);
  fputs(end, stderr);
}

}  // namespace

void Fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PrintLine(format, arguments, "\n");
  va_end(arguments);
  exit(kExitFailure);
}

void FailUsage(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PrintLine(format, arguments, "; pqv_run --help shows the options\n");
  va_end(arguments);
  exit(kExitUsage);
}

}  // namespace pqv
