// A function called by several threads at once.

#ifndef PQV_TESTS_CUSTOM_OPS_HOST_THREADS_H_
#define PQV_TESTS_CUSTOM_OPS_HOST_THREADS_H_

#include <stddef.h>

#if !defined(_WIN32)
#include <pthread.h>

#include "runner/buffer.h"
#endif

namespace pqv {

// Calls `function` as often as said, on Windows one call after the other: what threads may do
// wrong is looked for elsewhere.
template <typename Function>
void OnThreads(size_t count, const Function& function) {
#if defined(_WIN32)
  for (size_t i = 0; i < count; ++i) function();
#else
  const auto start = [](void* data) -> void* {
    (*static_cast<const Function*>(data))();
    return nullptr;
  };
  Buffer<pthread_t> threads;
  for (size_t i = 1; i < count; ++i) {
    pthread_t thread;
    void* data = const_cast<Function*>(&function);
    if (pthread_create(&thread, nullptr, start, data) != 0) Fail("there is no other thread");
    threads.Append(thread);
  }
  if (count > 0) function();
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
#endif
}

}  // namespace pqv

#endif  // PQV_TESTS_CUSTOM_OPS_HOST_THREADS_H_
