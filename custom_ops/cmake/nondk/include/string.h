#ifndef PQV_NONDK_STRING_H_
#define PQV_NONDK_STRING_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
void* memcpy(void* to, const void* from, size_t count);
void* memmove(void* to, const void* from, size_t count);
void* memset(void* memory, int value, size_t count);
int memcmp(const void* a, const void* b, size_t count);
size_t strlen(const char* text);
int strcmp(const char* a, const char* b);
int strncmp(const char* a, const char* b, size_t count);
char* strchr(const char* text, int c);
char* strrchr(const char* text, int c);
char* strstr(const char* text, const char* part);
size_t strspn(const char* text, const char* accepted);
size_t strcspn(const char* text, const char* stop);
char* strdup(const char* text);
char* strndup(const char* text, size_t count);
char* strtok_r(char* text, const char* separators, char** state);
char* strerror(int error);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_STRING_H_
