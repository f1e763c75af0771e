#include "kernels/gemm/tile_sme.h"
#include "kernels/packed_matmul/neon.h"

namespace pqv {
namespace sme {
namespace {

using Tile = arm64::SmeTile<arm64::Sign::kSigned>;
using Few = arm64::FewRowsOfDotprod;

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = arm64::MakePackedMatMulKernel<Tile, Few, 4>();
const PackedMatMulKernel kPackedInt8MatMul = arm64::MakePackedMatMulKernel<Tile, Few, 8>();

}  // namespace sme
}  // namespace pqv
