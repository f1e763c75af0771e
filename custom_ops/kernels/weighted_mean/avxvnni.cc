#include "kernels/gemm/tile_avxvnni.h"
#include "kernels/weighted_mean/avx2.h"

namespace pqv {
namespace avxvnni {

using namespace avx2;

void RunWeightedMean(const WeightedMean& op) { RunWeightedMeanWith<Dpbusd>(op); }

}  // namespace avxvnni
}  // namespace pqv
