#ifndef PQV_NONDK_SYS_STAT_H_
#define PQV_NONDK_SYS_STAT_H_

#include <sys/types.h>

// As 64-bit kernels have it, of arm64.
struct stat {
  unsigned long st_dev;
  unsigned long st_ino;
  mode_t st_mode;
  unsigned int st_nlink;
  unsigned int st_uid;
  unsigned int st_gid;
  unsigned long st_rdev;
  unsigned long padding;
  long st_size;
  int st_blksize;
  int more_padding;
  long st_blocks;
  unsigned long times[6];
  unsigned int unused[2];
};

#define S_IFMT 0170000
#define S_ISDIR(mode) (((mode) & S_IFMT) == 0040000)
#define S_ISREG(mode) (((mode) & S_IFMT) == 0100000)

#ifdef __cplusplus
extern "C" {
#endif
int stat(const char* path, struct stat* found);
int fchmod(int descriptor, mode_t mode);
mode_t umask(mode_t mask);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_SYS_STAT_H_
