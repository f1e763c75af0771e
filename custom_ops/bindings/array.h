// A heap array that a node owns, zero-filled and aligned for any vector.

#ifndef PQV_BINDINGS_ARRAY_H_
#define PQV_BINDINGS_ARRAY_H_

#include <stdint.h>
#include <string.h>

#include "bindings/system.h"
#include "kernels/common/sizes.h"

namespace pqv {

template <typename T>
class Array {
 public:
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { FreeAligned(data_); }

  // False if the memory cannot be had. Called once.
  bool Allocate(size_t count) {
    if (count > (SIZE_MAX - kAlignment) / sizeof(T)) return false;
    const size_t bytes = RoundUp(count * sizeof(T), kAlignment);
    void* memory = AllocateAligned(bytes);
    if (memory == nullptr) return false;
    data_ = static_cast<T*>(memset(memory, 0, bytes));
    return true;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }

 private:
  static constexpr size_t kAlignment = 64;
  T* data_ = nullptr;
};

}  // namespace pqv

#endif  // PQV_BINDINGS_ARRAY_H_
