// The bytes that libFuzzer gives, taken part by part.

#ifndef PQV_TESTS_FUZZ_BYTES_H_
#define PQV_TESTS_FUZZ_BYTES_H_

#include <stddef.h>
#include <stdint.h>

#include <string>

namespace pqv {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The next byte; 0 after the end.
  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }

  // The next line, without its end.
  std::string Line() {
    std::string line;
    while (size_ > 0) {
      const char c = static_cast<char>(Byte());
      if (c == '\n') break;
      line += c;
    }
    return line;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

}  // namespace pqv

#endif  // PQV_TESTS_FUZZ_BYTES_H_
