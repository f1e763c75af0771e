#include "fuzz/fail.h"

#include <stdarg.h>
#include <stdio.h>

#include "runner/fail.h"

namespace pqv {

namespace {

// Formats the message, as the arguments may be what is wrong.
void Format(const char* format, va_list arguments) {
  char text[8192];
  vsnprintf(text, sizeof(text), format, arguments);
}

}  // namespace

void Fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  Format(format, arguments);
  va_end(arguments);
  throw Failed();
}

void FailUsage(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  Format(format, arguments);
  va_end(arguments);
  throw Failed();
}

}  // namespace pqv
