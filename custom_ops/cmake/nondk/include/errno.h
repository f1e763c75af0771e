#ifndef PQV_NONDK_ERRNO_H_
#define PQV_NONDK_ERRNO_H_

#ifdef __cplusplus
extern "C" {
#endif
int* __errno(void);
#ifdef __cplusplus
}
#endif

#define errno (*__errno())

#define ENOENT 2
#define EINTR 4
#define EISDIR 21
#define ENAMETOOLONG 36

#endif  // PQV_NONDK_ERRNO_H_
