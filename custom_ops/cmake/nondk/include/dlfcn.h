#ifndef PQV_NONDK_DLFCN_H_
#define PQV_NONDK_DLFCN_H_

#define RTLD_DEFAULT ((void*)0)
#define RTLD_LOCAL 0
#define RTLD_NOW 2

#ifdef __cplusplus
extern "C" {
#endif
void* dlopen(const char* path, int flags);
void* dlsym(void* library, const char* name);
char* dlerror(void);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_DLFCN_H_
