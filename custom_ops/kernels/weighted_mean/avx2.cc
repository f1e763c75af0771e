#include "kernels/weighted_mean/avx2.h"

namespace pqv {
namespace avx2 {

void RunWeightedMean(const WeightedMean& op) { RunWeightedMeanWith<Maddubs>(op); }

}  // namespace avx2
}  // namespace pqv
