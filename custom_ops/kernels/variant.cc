#include "kernels/variant.h"

#include "kernels/common/cpu.h"

namespace pqv {

#define PQV_VARIANT(isa, supported) \
  {#isa,                            \
   supported,                       \
   &isa::kPackedInt4MatMul,         \
   &isa::kPackedInt8MatMul,         \
   isa::RunIntMatMul,               \
   isa::RunSoftmax2n,               \
   isa::RunSoftmax2nBias,           \
   isa::RunWeightedMean,            \
   isa::RunLayerNorm,               \
   isa::RunGelu}

const Variant kVariants[] = {
#if defined(__x86_64__)
    PQV_VARIANT(avx2, CpuHasAvx2),
#endif
    PQV_VARIANT(scalar, CpuIsAny),
};

const size_t kVariantCount = sizeof(kVariants) / sizeof(kVariants[0]);

static_assert(sizeof(kVariants) / sizeof(kVariants[0]) <= kMaxVariants, "raise kMaxVariants");

}  // namespace pqv
