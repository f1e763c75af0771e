// What the benchmark of the kernels runs: every op, at the shapes of DeiT and Swin.

#ifndef PQV_BENCHMARKS_KERNELS_CASES_H_
#define PQV_BENCHMARKS_KERNELS_CASES_H_

#include <functional>
#include <string>
#include <vector>

#include "kernels/variant.h"

namespace pqv {

struct Case {
  std::string name;
  double work;  // of one call: multiply-accumulates or elements
  bool is_product;
  std::function<void()> run;
  double best = 0;  // work per second
};

// With random inputs, which the cases own.
std::vector<Case> MakeCases(const Variant& variant);

}  // namespace pqv

#endif  // PQV_BENCHMARKS_KERNELS_CASES_H_
