// Speed of the kernels on one core, at the shapes of DeiT and Swin.
//
//   pqv_bench_kernels [variant] [rounds]
//   pqv_bench_kernels --peaks
//   pqv_bench_kernels --count [variant]
//
// Every case is run for a moment of processor time in each round, and rounds go over all cases, so
// that a busy machine slows all of them; the best round of each is printed, and for matrix products
// the share of the peak, measured in the same rounds. --peaks prints the peaks of this machine, in
// multiply-accumulates per second. With --count every case is run once, between two markers that
// benchmarks/arm64 counts instructions by, and only its work is printed.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <string>
#include <vector>

#include "benchmarks/kernels/cases.h"
#include "benchmarks/kernels/peak.h"

namespace pqv {
namespace {

constexpr double kMinSeconds = 0.001;  // of one measurement

// Of this thread: others that wait for the processor do not count.
double ProcessorSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void Measure(Case* c) {
  size_t calls = 1;
  for (;;) {
    const double start = ProcessorSeconds();
    for (size_t i = 0; i < calls; ++i) c->run();
    const double seconds = ProcessorSeconds() - start;
    c->best = std::max(c->best, c->work * static_cast<double>(calls) / seconds);
    if (seconds >= kMinSeconds) return;
    calls *= 2;
  }
}

void CountVariant(const Variant& variant) {
  constexpr double kMaxWork = 1e9;  // more takes minutes, and shows nothing new
  for (const Case& c : MakeCases(variant)) {
    if (c.work > kMaxWork) continue;
#if defined(__aarch64__)
    __asm__ volatile("hint #0x7e" ::: "memory");
    c.run();
    __asm__ volatile("hint #0x7f" ::: "memory");
#endif
    printf("%s\t%s\t%.0f\n", variant.name, c.name.c_str(), c.work);
  }
}

std::vector<Case> MakePeaks() {
  std::vector<Case> peaks;
  for (const Peak* peak = kPeaks; peak->name != nullptr; ++peak) {
    if (peak->supported()) peaks.push_back({peak->name, double(peak->run()), true, peak->run});
  }
  return peaks;
}

// int4 has a peak of its own where it is multiplied by other instructions.
double FindPeak(const std::vector<Case>& peaks, const Variant& variant, const Case& c) {
  double best = 0;
  for (const Case& peak : peaks) {
    const bool is_int4 = peak.name == std::string(variant.name) + " int4";
    if (peak.name == variant.name && best == 0) best = peak.best;
    if (is_int4 && c.name.find("Int4") != std::string::npos) best = peak.best;
  }
  return best;
}

void PrintPeaks() {
  constexpr size_t kRounds = 5;
  std::vector<Case> peaks = MakePeaks();
  for (size_t round = 0; round < kRounds; ++round) {
    for (Case& peak : peaks) Measure(&peak);
  }
  for (const Case& peak : peaks) printf("%s\t%.0f\n", peak.name.c_str(), peak.best);
}

void RunVariant(const Variant& variant, size_t rounds) {
  std::vector<Case> cases = MakeCases(variant);
  std::vector<Case> peaks = MakePeaks();
  for (size_t round = 0; round < rounds; ++round) {
    for (Case& c : cases) Measure(&c);
    for (Case& peak : peaks) Measure(&peak);
  }
  printf("%s\n", variant.name);
  for (const Case& c : cases) {
    const double peak = FindPeak(peaks, variant, c);
    printf("  %-40s %9.1f %s", c.name.c_str(), c.best * 1e-9,
           c.is_product ? "GMAC/s" : "G elements/s");
    if (c.is_product && peak > 0) printf("  %5.1f%% of peak", 100 * c.best / peak);
    printf("  %9.2f us\n", 1e6 * c.work / c.best);
  }
}

}  // namespace
}  // namespace pqv

int main(int argc, char** argv) {
  const bool counts = argc > 1 && strcmp(argv[1], "--count") == 0;
  if (counts) {
    --argc;
    ++argv;
  }
  if (argc > 1 && strcmp(argv[1], "--peaks") == 0) {
    pqv::PrintPeaks();
    return 0;
  }
  const char* only = argc > 1 ? argv[1] : "";
  const size_t rounds = argc > 2 ? strtoul(argv[2], nullptr, 10) : 20;
  for (size_t i = 0; i < pqv::kVariantCount; ++i) {
    const pqv::Variant& variant = pqv::kVariants[i];
    if (!variant.supported() || (only[0] != '\0' && strcmp(only, variant.name) != 0)) continue;
    if (counts) {
      pqv::CountVariant(variant);
    } else {
      pqv::RunVariant(variant, rounds);
    }
  }
  return 0;
}
