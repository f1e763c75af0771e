#ifndef PQV_NONDK_UNISTD_H_
#define PQV_NONDK_UNISTD_H_

#include <sys/types.h>

#define R_OK 4

#ifdef __cplusplus
extern "C" {
#endif
int access(const char* path, int mode);
pid_t getpid(void);
ssize_t readlink(const char* path, char* out, size_t room);
int unlink(const char* path);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_UNISTD_H_
