#ifndef PQV_NONDK_TIME_H_
#define PQV_NONDK_TIME_H_

#define CLOCK_MONOTONIC 1

struct timespec {
  long tv_sec;
  long tv_nsec;
};

#ifdef __cplusplus
extern "C" {
#endif
int clock_gettime(int clock, struct timespec* out);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_TIME_H_
