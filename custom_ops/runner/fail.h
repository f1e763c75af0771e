// How the program ends when something is wrong: one line, exit status 1. And text of others for the
// terminal.

#ifndef PQV_RUNNER_FAIL_H_
#define PQV_RUNNER_FAIL_H_

#include <stdio.h>

namespace pqv {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

// Prints text of a path or a model with its control characters, which a terminal obeys, as "\x1b".
void PrintText(FILE* file, const char* text);

// Has a function called where Fail ends the program.
void CleanUpBefore(void (*function)());

// Prints "pqv_run: error: ..." to the standard error and exits. Formats like printf.
[[noreturn]] __attribute__((format(printf, 1, 2))) void Fail(const char* format, ...);

// The same for a command line that is wrong, with another exit status and a word on --help.
[[noreturn]] __attribute__((format(printf, 1, 2))) void FailUsage(const char* format, ...);

}  // namespace pqv

#endif  // PQV_RUNNER_FAIL_H_
