#include "kernels/gemm/tile_dotprod.h"
#include "kernels/gemm/tile_sme.h"
#include "kernels/packed_matmul/neon.h"

namespace pqv {
namespace sme {
namespace {

using Tile = arm64::SmeTile<arm64::Sign::kSigned>;
// Reads the weights where they are.
using FewTile = arm64::DotprodTile<arm64::Sign::kSigned, arm64::kMaxDirectRows>;

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = arm64::MakePackedMatMulKernel<Tile, FewTile, 4>();
const PackedMatMulKernel kPackedInt8MatMul = arm64::MakePackedMatMulKernel<Tile, FewTile, 8>();

}  // namespace sme
}  // namespace pqv
