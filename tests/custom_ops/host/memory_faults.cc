// pqv_memory_faults LIBRARY CASE...: drives the ops of a library with the first of its allocations
// failing, then the second, and so on: each must end in a status or in the right result.

#include <errno.h>
#include <link.h>
#include <stdio.h>

#include "host/check.h"
#include "host/library.h"
#include "runner/file.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace pqv {

namespace {

uintptr_t library_begin = 0;
uintptr_t library_end = 0;
constexpr long kNever = -1;
long until_failure = kNever;

// Whether this allocation is one of the library's, and the one to fail.
bool Fails(const void* caller) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(caller);
  if (until_failure == kNever || address < library_begin || address >= library_end) return false;
  return until_failure-- == 0;
}

// Notes where the library's code lies.
int FindRange(dl_phdr_info* info, size_t, void* symbol) {
  const uintptr_t wanted = reinterpret_cast<uintptr_t>(symbol);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) & segment = info->dlpi_phdr[i];
    const uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || wanted < begin || wanted >= begin + segment.p_memsz) continue;
    library_begin = begin;
    library_end = begin + segment.p_memsz;
    return 1;
  }
  return 0;
}

// Whether the node was made and run, with the right result.
bool Succeeds(const Case& one, const OrtSessionOptions& options) {
  const Node node(OpOf(one, options), one.node());
  if (node.status() != nullptr) return false;
  OrtValue* output = nullptr;
  OrtStatus* status = node.Run(&output);
  if (status == nullptr) {
    CheckOutput(one, status, output);
    return true;
  }
  FreeValue(output);
  ReleaseStatus(status);
  return false;
}

// Returns how many allocations a case makes, each of which failed once.
long CheckFaults(const Case& one, const OrtSessionOptions& options) {
  for (long n = 0;; ++n) {
    until_failure = n;
    const bool succeeded = Succeeds(one, options);
    const bool failed_one = until_failure == kNever;
    until_failure = kNever;
    CheckReleased();
    if (!failed_one && !succeeded) Fail("%s: an error without a fault", one.path());
    if (!failed_one) return n;
  }
}

int Main(int argc, char** argv) {
  if (argc < 2) FailUsage("expected a LIBRARY");
  void* library = LoadOps(argv[1]);
  OrtSessionOptions options;
  RegisterOps(library, "RegisterCustomOps", &options);
  dl_iterate_phdr(FindRange, FindFunction(library, "RegisterCustomOps"));
  long faults = 0;
  for (int i = 2; i < argc; ++i) {
    const Buffer<uint8_t> bytes = ReadFile(argv[i]);
    Case one(argv[i], bytes.data(), bytes.size());
    one.ReadExpectation();
    if (one.error()[0] == '\0') faults += CheckFaults(one, options);
  }
  printf("%ld faults\n", faults);
  return 0;
}

}  // namespace

}  // namespace pqv

#define PQV_FAILS pqv::Fails(__builtin_return_address(0))

extern "C" void* malloc(size_t size) { return PQV_FAILS ? nullptr : __libc_malloc(size); }

extern "C" void* calloc(size_t count, size_t size) {
  return PQV_FAILS ? nullptr : __libc_calloc(count, size);
}

extern "C" void* realloc(void* memory, size_t size) {
  return PQV_FAILS ? nullptr : __libc_realloc(memory, size);
}

extern "C" int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = PQV_FAILS ? nullptr : __libc_memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}

int main(int argc, char** argv) { return pqv::Main(argc, argv); }
