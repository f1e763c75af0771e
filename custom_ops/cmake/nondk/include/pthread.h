#ifndef PQV_NONDK_PTHREAD_H_
#define PQV_NONDK_PTHREAD_H_

typedef long pthread_t;
typedef struct pthread_attr_t pthread_attr_t;

#ifdef __cplusplus
extern "C" {
#endif
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument);
int pthread_join(pthread_t thread, void** result);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_PTHREAD_H_
