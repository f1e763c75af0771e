// How the program ends when something is wrong: one line, exit status 1.

#ifndef PQV_RUNNER_FAIL_H_
#define PQV_RUNNER_FAIL_H_

namespace pqv {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

// Prints "pqv_run: error: ..." to the standard error and exits. Formats like printf.
[[noreturn]] __attribute__((format(printf, 1, 2))) void Fail(const char* format, ...);

// The same for a command line that is wrong, with another exit status and a word on --help.
[[noreturn]] __attribute__((format(printf, 1, 2))) void FailUsage(const char* format, ...);

}  // namespace pqv

#endif  // PQV_RUNNER_FAIL_H_
