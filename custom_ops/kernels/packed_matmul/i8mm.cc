#include "kernels/gemm/tile_i8mm.h"
#include "kernels/packed_matmul/neon.h"

namespace pqv {
namespace i8mm {
namespace {

using Tile = arm64::I8mmTile<arm64::Sign::kSigned>;
using Few = arm64::FewRowsOfDotprod;

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = arm64::MakePackedMatMulKernel<Tile, Few, 4>();
const PackedMatMulKernel kPackedInt8MatMul = arm64::MakePackedMatMulKernel<Tile, Few, 8>();

}  // namespace i8mm
}  // namespace pqv
