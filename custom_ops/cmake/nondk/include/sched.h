#ifndef PQV_NONDK_SCHED_H_
#define PQV_NONDK_SCHED_H_

#include <sys/types.h>

typedef struct {
  unsigned long bits[16];
} cpu_set_t;

#ifdef __cplusplus
extern "C" {
#endif
int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t* set);
int sched_yield(void);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_SCHED_H_
