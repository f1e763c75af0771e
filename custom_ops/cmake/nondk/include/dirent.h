#ifndef PQV_NONDK_DIRENT_H_
#define PQV_NONDK_DIRENT_H_

#include <sys/types.h>

struct dirent {
  uint64_t d_ino;
  int64_t d_off;
  unsigned short d_reclen;
  unsigned char d_type;
  char d_name[256];
};
typedef struct PqvFolder DIR;

#ifdef __cplusplus
extern "C" {
#endif
DIR* opendir(const char* path);
struct dirent* readdir(DIR* folder);
int dirfd(DIR* folder);
int closedir(DIR* folder);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_DIRENT_H_
