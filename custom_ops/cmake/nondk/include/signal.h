#ifndef PQV_NONDK_SIGNAL_H_
#define PQV_NONDK_SIGNAL_H_

typedef struct {
  unsigned long bits;
} sigset_t;

typedef int sig_atomic_t;

#define SIGINT 2
#define SIGTERM 15
#define SIG_DFL ((void (*)(int))0)
#define SIG_BLOCK 0
#define SIG_SETMASK 2

#ifdef __cplusplus
extern "C" {
#endif
int raise(int number);
void (*signal(int number, void (*handler)(int)))(int);
int sigfillset(sigset_t* set);
int sigprocmask(int how, const sigset_t* set, sigset_t* before);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_SIGNAL_H_
