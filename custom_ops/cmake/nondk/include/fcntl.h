#ifndef PQV_NONDK_FCNTL_H_
#define PQV_NONDK_FCNTL_H_

#define O_WRONLY 1

#ifdef __cplusplus
extern "C" {
#endif
int open(const char* path, int flags, ...);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_FCNTL_H_
