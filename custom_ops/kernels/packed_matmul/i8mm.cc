#include "kernels/gemm/tile_dotprod.h"
#include "kernels/gemm/tile_i8mm.h"
#include "kernels/packed_matmul/neon.h"

namespace pqv {
namespace i8mm {
namespace {

using Tile = arm64::I8mmTile<arm64::Sign::kSigned>;
// Reads the weights where they are.
using FewTile = arm64::DotprodTile<arm64::Sign::kSigned, arm64::kMaxDirectRows>;

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = arm64::MakePackedMatMulKernel<Tile, FewTile, 4>();
const PackedMatMulKernel kPackedInt8MatMul = arm64::MakePackedMatMulKernel<Tile, FewTile, 8>();

}  // namespace i8mm
}  // namespace pqv
