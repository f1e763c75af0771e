// The namespaces of kernels, one for each instruction set.

#ifndef PQV_KERNELS_COMMON_ISAS_H_
#define PQV_KERNELS_COMMON_ISAS_H_

#define PQV_IN_ISA(isa, ...) \
  namespace isa {            \
  __VA_ARGS__                \
  }

// Declares something in all of them, whichever have a kernel of their own for the op.
#define PQV_IN_EACH_ISA(...)          \
  PQV_IN_ISA(scalar, __VA_ARGS__)     \
  PQV_IN_ISA(avx2, __VA_ARGS__)       \
  PQV_IN_ISA(avxvnni, __VA_ARGS__)    \
  PQV_IN_ISA(avx512vnni, __VA_ARGS__) \
  PQV_IN_ISA(amx, __VA_ARGS__)        \
  PQV_IN_ISA(neon, __VA_ARGS__)       \
  PQV_IN_ISA(dotprod, __VA_ARGS__)    \
  PQV_IN_ISA(i8mm, __VA_ARGS__)       \
  PQV_IN_ISA(sme, __VA_ARGS__)

#endif  // PQV_KERNELS_COMMON_ISAS_H_
