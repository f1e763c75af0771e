#include "bindings/run_counters.h"

#include <atomic>

#include "kernels/variant.h"

namespace pqv {
namespace {

std::atomic<uint64_t> counters[kMaxVariants];

}  // namespace

void CountRun(size_t variant) { counters[variant].fetch_add(1, std::memory_order_relaxed); }

uint64_t RunCount(size_t variant) { return counters[variant].load(std::memory_order_relaxed); }

}  // namespace pqv
