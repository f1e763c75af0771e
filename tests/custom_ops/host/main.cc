// pqv_abi_host [--threads N] LIBRARY CASE...: loads an op library as onnxruntime does and drives
// its ops through the C ABI, without onnxruntime. With threads each case is run by N at once, on a
// node that they share and on nodes of their own, and the tasks of a node by as many again.

#include <stdio.h>

#include "host/check.h"
#include "host/library.h"
#include "host/threads.h"
#include "runner/file.h"

namespace pqv {

namespace {

// Runs one node by several threads, each of which makes another one, too.
void CheckOnThreads(const Case& one, const OrtSessionOptions& options, size_t count) {
  const Node node(OpOf(one, options), one.node());
  OnThreads(count, [&] {
    if (node.status() == nullptr) CheckRuns(one, node);
    CheckCase(one, options);
  });
}

int Main(int argc, char** argv) {
  size_t threads = 0;
  if (argc > 2 && strcmp(argv[1], "--threads") == 0) {
    threads = static_cast<size_t>(strtoull(argv[2], nullptr, 10));
    SetThreads(threads);
    argc -= 2;
    argv += 2;
  }
  if (argc < 2) FailUsage("expected a LIBRARY");
  void* library = LoadOps(argv[1]);
  OrtSessionOptions by_path;
  RegisterOps(library, "RegisterCustomOps", &by_path);
  // onnxruntime looks a function up by name in the whole process, where Android finds it because
  // the library asks to be global. glibc knows no such wish.
  OrtSessionOptions by_name;
#if defined(__ANDROID__)
  RegisterOps(RTLD_DEFAULT, "RegisterPqvCustomOps", &by_name);
#else
  RegisterOps(library, "RegisterPqvCustomOps", &by_name);
#endif
  if (by_path.ops.size() != by_name.ops.size()) Fail("the two ways to register differ");
  for (int i = 2; i < argc; ++i) {
    const Buffer<uint8_t> bytes = ReadFile(argv[i]);
    Case one(argv[i], bytes.data(), bytes.size());
    one.ReadExpectation();
    CheckCase(one, by_path);
    CheckCase(one, by_name);
    if (threads > 0) CheckOnThreads(one, by_path, threads);
  }
  CheckReleased();
  printf("%zu ops, %d cases passed\n", by_path.ops.size(), argc - 2);
  return 0;
}

}  // namespace

}  // namespace pqv

int main(int argc, char** argv) { return pqv::Main(argc, argv); }
