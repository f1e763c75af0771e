// A growing array on the heap. Running out of memory ends the program.

#ifndef PQV_RUNNER_BUFFER_H_
#define PQV_RUNNER_BUFFER_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runner/fail.h"

namespace pqv {

// Holds values that may be copied byte by byte.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) { Resize(size); }
  Buffer(Buffer&& other) : data_(other.data_), size_(other.size_), capacity_(other.capacity_) {
    other.data_ = nullptr;
    other.size_ = other.capacity_ = 0;
  }
  Buffer& operator=(Buffer&& other) {
    Swap(&data_, &other.data_);
    Swap(&size_, &other.size_);
    Swap(&capacity_, &other.capacity_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { free(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

  // New elements are not initialized.
  void Resize(size_t size) {
    if (size > capacity_) Reserve(size);
    size_ = size;
  }

  void Append(const T& value) { Append(&value, 1); }

  void Append(const T* values, size_t count) {
    if (count == 0) return;
    if (size_ + count > capacity_) Reserve((size_ + count) * 2);
    memcpy(data_ + size_, values, count * sizeof(T));
    size_ += count;
  }

 private:
  template <typename U>
  static void Swap(U* a, U* b) {
    U kept = *a;
    *a = *b;
    *b = kept;
  }

  void Reserve(size_t capacity) {
    T* data = capacity > SIZE_MAX / sizeof(T)
                  ? nullptr
                  : static_cast<T*>(realloc(static_cast<void*>(data_), capacity * sizeof(T)));
    if (data == nullptr) Fail("out of memory");
    data_ = data;
    capacity_ = capacity;
  }

  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace pqv

#endif  // PQV_RUNNER_BUFFER_H_
