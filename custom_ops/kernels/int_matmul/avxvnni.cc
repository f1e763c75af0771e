#include "kernels/gemm/tile_avxvnni.h"
#include "kernels/int_matmul/avx2.h"

namespace pqv {
namespace avxvnni {

using namespace avx2;

void RunIntMatMul(const IntMatMul& op) { RunIntMatMulWith<Dpbusd>(op); }

}  // namespace avxvnni
}  // namespace pqv
