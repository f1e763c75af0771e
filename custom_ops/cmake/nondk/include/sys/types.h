#ifndef PQV_NONDK_SYS_TYPES_H_
#define PQV_NONDK_SYS_TYPES_H_

#include <stddef.h>
#include <stdint.h>

typedef int pid_t;
typedef unsigned int mode_t;
typedef long ssize_t;

#endif  // PQV_NONDK_SYS_TYPES_H_
