#include "bindings/run_counters.h"

#include <atomic>

namespace pqv {
namespace {

constexpr size_t kMaxVariants = 16;
std::atomic<uint64_t> counters[kMaxVariants];

}  // namespace

void CountRun(size_t variant) {
  if (variant < kMaxVariants) counters[variant].fetch_add(1, std::memory_order_relaxed);
}

uint64_t RunCount(size_t variant) {
  return variant < kMaxVariants ? counters[variant].load(std::memory_order_relaxed) : 0;
}

}  // namespace pqv
