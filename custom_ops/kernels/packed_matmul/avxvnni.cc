#include "kernels/gemm/tile_avxvnni.h"
#include "kernels/packed_matmul/avx2.h"

namespace pqv {
namespace avxvnni {

using namespace avx2;

const PackedMatMulKernel kPackedInt4MatMul = {Dpbusd::kRows, kLanes, RunBytes<Dpbusd, 4, ToInt8>,
                                              nullptr};
const PackedMatMulKernel kPackedInt8MatMul = {Dpbusd::kRows, kLanes, RunBytes<Dpbusd, 8, ToInt8>,
                                              RunBytes<Dpbusd, 8, ToInt32>};

}  // namespace avxvnni
}  // namespace pqv
