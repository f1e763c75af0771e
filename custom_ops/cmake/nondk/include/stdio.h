#ifndef PQV_NONDK_STDIO_H_
#define PQV_NONDK_STDIO_H_

#include <stdarg.h>
#include <stddef.h>

#define EOF (-1)

typedef struct PqvFile FILE;

#ifdef __cplusplus
extern "C" {
#endif
extern FILE* stdout;
extern FILE* stderr;
FILE* fopen(const char* path, const char* mode);
int fclose(FILE* file);
int fflush(FILE* file);
int ferror(FILE* file);
size_t fread(void* memory, size_t size, size_t count, FILE* file);
size_t fwrite(const void* memory, size_t size, size_t count, FILE* file);
char* fgets(char* line, int room, FILE* file);
int fputs(const char* text, FILE* file);
int puts(const char* text);
int fputc(int character, FILE* file);
int fprintf(FILE* file, const char* format, ...) __attribute__((format(printf, 2, 3)));
int printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
int snprintf(char* text, size_t room, const char* format, ...)
    __attribute__((format(printf, 3, 4)));
int vfprintf(FILE* file, const char* format, va_list arguments);
int vsnprintf(char* text, size_t room, const char* format, va_list arguments);
int rename(const char* from, const char* to);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_STDIO_H_
