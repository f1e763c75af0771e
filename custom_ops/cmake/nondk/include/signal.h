#ifndef PQV_NONDK_SIGNAL_H_
#define PQV_NONDK_SIGNAL_H_

typedef struct {
  unsigned long bits;
} sigset_t;

#define SIG_BLOCK 0
#define SIG_SETMASK 2

#ifdef __cplusplus
extern "C" {
#endif
int sigfillset(sigset_t* set);
int sigprocmask(int how, const sigset_t* set, sigset_t* before);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_SIGNAL_H_
