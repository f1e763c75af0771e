#include "kernels/gemm/tile_dotprod.h"
#include "kernels/packed_matmul/neon.h"

namespace pqv {
namespace dotprod {
namespace {

using Tile = arm64::DotprodTile<arm64::Sign::kSigned>;
using Few = arm64::FewRows<arm64::DotprodTile<arm64::Sign::kSigned, arm64::kMaxDirectRows>>;

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = arm64::MakePackedMatMulKernel<Tile, Few, 4>();
const PackedMatMulKernel kPackedInt8MatMul = arm64::MakePackedMatMulKernel<Tile, Few, 8>();

}  // namespace dotprod
}  // namespace pqv
