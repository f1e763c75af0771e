#ifndef PQV_NONDK_STDLIB_H_
#define PQV_NONDK_STDLIB_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
void* malloc(size_t size);
void* calloc(size_t count, size_t size);
void* realloc(void* memory, size_t size);
void free(void* memory);
int posix_memalign(void** out, size_t alignment, size_t size);
char* getenv(const char* name);
int mkstemp(char* path);
char* mkdtemp(char* path);
void exit(int status) __attribute__((noreturn));
void qsort(void* base, size_t count, size_t size, int (*compare)(const void*, const void*));
double strtod(const char* text, char** end);
long strtol(const char* text, char** end, int base);
long long strtoll(const char* text, char** end, int base);
unsigned long long strtoull(const char* text, char** end, int base);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_STDLIB_H_
