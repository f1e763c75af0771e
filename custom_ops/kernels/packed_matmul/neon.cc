#include "kernels/packed_matmul/neon.h"

#include "kernels/gemm/tile_armv8.h"

namespace pqv {
namespace neon {
namespace {

using Int4Tile = arm64::Armv8Tile<arm64::PanelRange::kInt4>;
using Int4Few = arm64::FewRows<arm64::Armv8Tile<arm64::PanelRange::kInt4, arm64::kMaxDirectRows>>;
using Int8Tile = arm64::Armv8Tile<arm64::PanelRange::kInt8>;
using Int8Few = arm64::FewRows<Int8Tile>;

}  // namespace

const PackedMatMulKernel kPackedInt4MatMul = arm64::MakePackedMatMulKernel<Int4Tile, Int4Few, 4>();
const PackedMatMulKernel kPackedInt8MatMul = arm64::MakePackedMatMulKernel<Int8Tile, Int8Few, 8>();

}  // namespace neon
}  // namespace pqv
