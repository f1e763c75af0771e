// Runs an ExecuTorch program twice on one thread; the second run is a region of block_count.c.
//
//   executorch_run MODEL.pte
//
// Built against the headers and libraries of the Python package executorch, whose own module for
// Python would take an arm64 torch.

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <stdio.h>

#include <vector>

// Of libexecutorch_threadpool.so, whose header the package lacks.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(unsigned threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: executorch_run MODEL.pte\n");
    return 2;
  }
  executorch::extension::threadpool::get_threadpool()->_unsafe_reset_threadpool(1);
  executorch::extension::Module module(argv[1]);
  const auto method = module.method_meta("forward");
  if (!method.ok()) return 1;
  const auto sizes = method->input_tensor_meta(0)->sizes();
  std::vector<float> image(method->input_tensor_meta(0)->nbytes() / sizeof(float));
  for (size_t i = 0; i < image.size(); ++i) image[i] = float(i * 7919 % 509) / 254 - 1;
  const auto input = executorch::extension::from_blob(image.data(), {sizes.begin(), sizes.end()});
  bool ok = module.forward(input).ok();
  __asm__ volatile("hint #0x7e" ::: "memory");
  ok &= module.forward(input).ok();
  __asm__ volatile("hint #0x7f" ::: "memory");
  return ok ? 0 : 1;
}
