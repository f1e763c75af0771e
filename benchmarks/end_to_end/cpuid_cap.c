// Makes a process believe that its CPU has no AMX, no AVX-512 or no VNNI, so that runtimes
// without a switch of their own can be compared at a lower instruction set. For those that
// ask once, when they start: a trapped CPUID takes microseconds.
//
// Preloaded into the process, it asks Linux to trap CPUID (arch_prctl(ARCH_SET_CPUID), on
// CPUs with CPUID faulting) and answers the trapped instruction itself, with the bits of
// leaf 7 masked. The environment variable CPUID_CAP is "avx512vnni" (no AMX), "avxvnni" (no
// AMX, AVX-512) or "avx2" (no AMX, AVX-512, VNNI). Where CPUID cannot be trapped the process
// exits with a sentence.

#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { SET_CPUID = 0x1012 };  // ARCH_SET_CPUID of <asm/prctl.h>; 0 traps, 1 does not

struct mask {              // bits to clear in leaf 7
  uint32_t ebx, ecx, edx;  // subleaf 0
  uint32_t eax1, edx1;     // subleaf 1
};

static const uint32_t kAmx = 1u << 22 | 1u << 24 | 1u << 25;  // bf16, tile, int8
static const struct mask kNoAmx = {0, 0, kAmx, 1u << 21, 1u << 8 | 1u << 19};
static const struct mask kNoAvx512 = {
    // f dq ifma cd bw vl
    1u << 16 | 1u << 17 | 1u << 21 | 1u << 28 | 1u << 30 | 1u << 31,
    // vbmi vbmi2 vnni bitalg vpopcntdq
    1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14,
    // vp2intersect fp16 amx
    1u << 8 | 1u << 23 | kAmx,
    // avx_vnni avx512_bf16 amx_fp16 avx_ifma
    1u << 4 | 1u << 5 | 1u << 21 | 1u << 23,
    // avx_vnni_int8 avx_ne_convert amx_complex avx_vnni_int16 avx10
    1u << 4 | 1u << 5 | 1u << 8 | 1u << 10 | 1u << 19,
};
static const uint32_t kAvxVnni = 1u << 4;  // of eax1
static struct mask cap;

static void set_cpuid(long enabled) { syscall(SYS_arch_prctl, SET_CPUID, enabled); }

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)info;
  greg_t* r = ((ucontext_t*)context)->uc_mcontext.gregs;
  const uint8_t* code = (const uint8_t*)r[REG_RIP];
  if (code[0] != 0x0f || code[1] != 0xa2) {  // not CPUID: a real fault
    signal(number, SIG_DFL);
    return;
  }
  const uint32_t leaf = (uint32_t)r[REG_RAX], subleaf = (uint32_t)r[REG_RCX];
  uint32_t a, b, c, d;
  set_cpuid(1);
  __cpuid_count(leaf, subleaf, a, b, c, d);
  set_cpuid(0);
  if (leaf == 7 && subleaf == 0) {
    b &= ~cap.ebx;
    c &= ~cap.ecx;
    d &= ~cap.edx;
  } else if (leaf == 7 && subleaf == 1) {
    a &= ~cap.eax1;
    d &= ~cap.edx1;
  }
  r[REG_RAX] = a;
  r[REG_RBX] = b;
  r[REG_RCX] = c;
  r[REG_RDX] = d;
  r[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
  const char* name = getenv("CPUID_CAP");
  if (name == NULL) return;
  cap = strcmp(name, "avx512vnni") == 0 ? kNoAmx : kNoAvx512;
  if (strcmp(name, "avxvnni") == 0) {
    cap.eax1 &= ~kAvxVnni;
  } else if (strcmp(name, "avx512vnni") != 0 && strcmp(name, "avx2") != 0) {
    fprintf(stderr, "unknown CPUID_CAP %s\n", name);
    _exit(1);
  }
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  if (syscall(SYS_arch_prctl, SET_CPUID, 0) != 0) {
    fputs("CPUID cannot be trapped on this machine\n", stderr);
    _exit(1);
  }
}
