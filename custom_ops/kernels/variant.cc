#include "kernels/variant.h"

#include "kernels/common/cpu.h"

namespace pqv {

// The matrix products of `isa`, the rest of `base`.
#define PQV_VARIANT_OF(isa, base, supported) \
  {#isa,                                     \
   supported,                                \
   &isa::kPackedInt4MatMul,                  \
   &isa::kPackedInt8MatMul,                  \
   isa::RunIntMatMul,                        \
   base::RunSoftmax2n,                       \
   base::RunSoftmax2nBias,                   \
   isa::RunWeightedMean,                     \
   base::RunLayerNorm,                       \
   base::RunGelu}
#define PQV_VARIANT(isa, supported) PQV_VARIANT_OF(isa, isa, supported)

const Variant kVariants[] = {
#if defined(PQV_HAS_AMX)
    PQV_VARIANT_OF(amx, avx512vnni, CpuHasAmx),
#endif
#if defined(PQV_HAS_AVX512VNNI)
    PQV_VARIANT(avx512vnni, CpuHasAvx512Vnni),
#endif
#if defined(__x86_64__)
    PQV_VARIANT(avx2, CpuHasAvx2),
#endif
    PQV_VARIANT(scalar, CpuIsAny),
};

const size_t kVariantCount = sizeof(kVariants) / sizeof(kVariants[0]);

static_assert(sizeof(kVariants) / sizeof(kVariants[0]) <= kMaxVariants, "raise kMaxVariants");

}  // namespace pqv
