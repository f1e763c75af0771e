// What Android runs before main: __libc_init sets up the C library and calls main. Lists of
// functions to call first and last begin with -1 and end with 0; the dynamic linker sees to those
// of the program itself.

extern int main(int argc, char** argv, char** environment);

struct Lists {
  void (**before_constructors)(void);
  void (**constructors)(void);
  void (**destructors)(void);
};

extern __attribute__((noreturn)) void __libc_init(void* arguments, void (*at_exit)(void),
                                                  int (*main)(int, char**, char**),
                                                  const struct Lists* lists);

__attribute__((used, noreturn)) static void Start(void* arguments) {
  static void (*empty[])(void) = {(void (*)(void)) - 1, 0};
  const struct Lists lists = {empty, empty, empty};
  __libc_init(arguments, 0, main, &lists);
}

// The arguments are where the stack pointer is.
__asm__(
    ".globl _start\n"
    ".type _start, %function\n"
    "_start:\n"
    "  mov x29, #0\n"
    "  mov x30, #0\n"
    "  mov x0, sp\n"
    "  b Start\n");
