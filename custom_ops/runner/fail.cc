#include "runner/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

namespace pqv {

namespace {

void (*clean_up)() = nullptr;

void PrintLine(const char* format, va_list arguments, const char* end) {
  char text[8192];
  vsnprintf(text, sizeof(text), format, arguments);
  fflush(stdout);
  fputs("pqv_run: error: ", stderr);
  PrintText(stderr, text);
  fputs(end, stderr);
}

}  // namespace

void CleanUpBefore(void (*function)()) { clean_up = function; }

void PrintText(FILE* file, const char* text) {
  for (; *text != '\0'; ++text) {
    const unsigned char c = static_cast<unsigned char>(text[0]);
    const unsigned char next = static_cast<unsigned char>(text[1]);
    const bool is_two_bytes = c == 0xC2 && next >= 0x80 && next < 0xA0;  // U+0080 to U+009F
    if (c < ' ' || c == 0x7F) {
      fprintf(file, "\\x%02x", c);
    } else if (is_two_bytes) {
      fprintf(file, "\\x%02x", next);
      ++text;
    } else {
      fputc(c, file);
    }
  }
}

void Fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PrintLine(format, arguments, "\n");
  va_end(arguments);
  if (clean_up != nullptr) clean_up();
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
