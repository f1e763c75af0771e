#ifndef PQV_NONDK_UNISTD_H_
#define PQV_NONDK_UNISTD_H_

#include <sys/types.h>

#define R_OK 4
#define W_OK 2

#ifdef __cplusplus
extern "C" {
#endif
int access(const char* path, int mode);
int close(int descriptor);
ssize_t readlink(const char* path, char* out, size_t room);
int rmdir(const char* path);
int unlink(const char* path);
int unlinkat(int folder, const char* path, int flags);
ssize_t write(int descriptor, const void* bytes, size_t count);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_UNISTD_H_
