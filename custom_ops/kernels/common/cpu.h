// What this processor, and the operating system on it, can run.

#ifndef PQV_KERNELS_COMMON_CPU_H_
#define PQV_KERNELS_COMMON_CPU_H_

namespace pqv {

bool CpuIsAny();
bool CpuHasAvx2();
bool CpuHasAvxVnni();
bool CpuHasAvx512Vnni();  // with AVX512 F, BW, DQ and VL
bool CpuHasAvx512Vbmi();
// Whether other ports than those of VPDPBUSD add bytes and insert one vector into another: on AMD,
// not on Intel.
bool CpuHasPortsBesideVnni();
// AMX int8 and what its kernels use besides. Asks the operating system, once, for leave to use the
// tile registers.
bool CpuHasAmx();
bool CpuHasDotprod();
bool CpuHasI8mm();  // with the dot products
bool CpuHasSme();   // with the int8 matrix products, and vectors of 512 bits while streaming

}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_CPU_H_
