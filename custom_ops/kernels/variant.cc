#include "kernels/variant.h"

#include "kernels/common/cpu.h"

namespace pqv {

// Beside the name of a variant, the one whose kernel it runs for each op.
#define PQV_VARIANT(name, supported, packed_matmul, int_matmul, weighted_mean, softmax2n, \
                    attention, norm, elementwise)                                         \
  {#name,                                                                                 \
   supported,                                                                             \
   &packed_matmul::kPackedInt4MatMul,                                                     \
   &packed_matmul::kPackedInt8MatMul,                                                     \
   int_matmul::RunIntMatMul,                                                              \
   softmax2n::RunSoftmax2n,                                                               \
   softmax2n::RunSoftmax2nBias,                                                           \
   weighted_mean::RunWeightedMean,                                                        \
   &attention::kAttention,                                                                \
   norm::RunNorm,                                                                         \
   elementwise::RunGelu,                                                                  \
   elementwise::RunAdd,                                                                   \
   elementwise::RunRotary,                                                                \
   elementwise::RunGate}

// Every kernel its own, and of attention what they compose.
#define PQV_OWN_VARIANT(isa, supported) \
  PQV_VARIANT(isa, supported, isa, isa, isa, isa, composed, isa, isa)

const Variant kVariants[] = {
#if defined(PQV_HAS_AMX)
    PQV_VARIANT(amx, CpuHasAmx, amx, amx, amx, avx512vnni, amx, avx512vnni, avx512vnni),
#endif
#if defined(PQV_HAS_AVX512VNNI)
    PQV_VARIANT(avx512vnni, CpuHasAvx512Vnni, avx512vnni, avx512vnni, avx512vnni, avx512vnni,
                avx512vnni, avx512vnni, avx512vnni),
#endif
#if defined(PQV_HAS_AVXVNNI)
    PQV_VARIANT(avxvnni, CpuHasAvxVnni, avxvnni, avxvnni, avxvnni, avx2, composed, avx2, avx2),
#endif
#if defined(PQV_HAS_AVX2)
    PQV_OWN_VARIANT(avx2, CpuHasAvx2),
#endif
#if defined(PQV_HAS_I8MM)
    PQV_VARIANT(i8mm, CpuHasI8mm, i8mm, i8mm, i8mm, neon, i8mm, neon, neon),
#endif
// After i8mm, so only on demand: nobody has timed it, and cores share one unit for outer products.
#if defined(PQV_HAS_SME)
    PQV_VARIANT(sme, CpuHasSme, sme, sme, sme, neon, sme, neon, neon),
#endif
#if defined(PQV_HAS_DOTPROD)
    PQV_VARIANT(dotprod, CpuHasDotprod, dotprod, dotprod, dotprod, neon, dotprod, neon, neon),
#endif
#if defined(PQV_HAS_NEON)
    PQV_VARIANT(neon, CpuIsAny, neon, neon, neon, neon, neon, neon, neon),
#endif
    PQV_OWN_VARIANT(scalar, CpuIsAny),
};

const size_t kVariantCount = sizeof(kVariants) / sizeof(kVariants[0]);

static_assert(sizeof(kVariants) / sizeof(kVariants[0]) <= kMaxVariants, "raise kMaxVariants");

}  // namespace pqv
