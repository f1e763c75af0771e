#ifndef PQV_NONDK_SYS_AUXV_H_
#define PQV_NONDK_SYS_AUXV_H_

#define AT_HWCAP 16
#define AT_HWCAP2 26

#ifdef __cplusplus
extern "C" {
#endif
unsigned long getauxval(unsigned long type);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_SYS_AUXV_H_
