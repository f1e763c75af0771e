// What this processor, and the operating system on it, can run.

#ifndef PQV_KERNELS_COMMON_CPU_H_
#define PQV_KERNELS_COMMON_CPU_H_

namespace pqv {

bool CpuIsAny();
bool CpuHasAvx2();

}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_CPU_H_
