// What the fuzzer of the kernels gives each op: random sizes, parameters and memory, and the
// comparison of all variants with scalar.

#ifndef PQV_TESTS_FUZZ_H_
#define PQV_TESTS_FUZZ_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/variant.h"

namespace pqv {

// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t x = state_ += 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
  }

  // In [low, high], at most 2^32 values.
  int64_t Within(int64_t low, int64_t high) {
    return low + static_cast<int64_t>((Next() >> 32) * static_cast<uint64_t>(high - low + 1) >> 32);
  }

  bool OneIn(int count) { return Within(1, count) == 1; }

 private:
  uint64_t state_;
};

// Memory between two pages that nobody may touch. An array lies at the end of it, or now and then
// at the beginning, so that an access beyond the array is a fault.
class Arena {
 public:
  Arena() : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    base_ = static_cast<uint8_t*>(mmap(nullptr, kBytes + 2 * page_, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_, page_, PROT_NONE) != 0 ||
        mprotect(base_ + page_ + kBytes, page_, PROT_NONE) != 0) {
      perror("mmap");
      exit(2);
    }
  }

  void* Place(size_t bytes, bool at_end) {
    if (bytes > kBytes) {
      fprintf(stderr, "an array of %zu bytes, expected %zu or fewer\n", bytes, kBytes);
      exit(2);
    }
    return base_ + page_ + (at_end ? kBytes - bytes : 0);
  }

 private:
  static constexpr size_t kBytes = size_t{1} << 22;
  size_t page_;
  uint8_t* base_;
};

class Fuzz {
 public:
  explicit Fuzz(std::vector<const Variant*> variants) : variants_(std::move(variants)) {}

  // Makes the next case that one, whatever came before.
  void Begin(uint64_t seed, uint64_t index) {
    random_ = Random(Random(seed).Next() ^ index);
    used_ = 0;
    notes_.clear();
  }

  Random& random() { return random_; }

  // A parameter of the case, printed where it fails. One in eight is at an end of its range.
  int Int(const char* name, int low, int high) {
    const int kind = static_cast<int>(random_.Within(0, 15));
    const int64_t value = kind == 0 ? low : kind == 1 ? high : random_.Within(low, high);
    notes_.push_back({name, value});
    return static_cast<int>(value);
  }

  // A size: mostly a few, one in four up to `limit`, and more often than not beside a multiple
  // of 8 there.
  size_t Size(const char* name, size_t low, size_t limit) {
    int64_t value = random_.Within(static_cast<int64_t>(low), 9);
    if (random_.OneIn(4)) {
      value = random_.Within(1, static_cast<int64_t>(limit));
      if (random_.OneIn(2)) value = (value + 7) / 8 * 8 + random_.Within(-1, 1);
    }
    const size_t size = std::min(static_cast<size_t>(value), limit);
    notes_.push_back({name, static_cast<int64_t>(size)});
    return size;
  }

  template <typename T>
  T* Memory(size_t count) {
    if (used_ == arenas_.size()) arenas_.emplace_back();
    return static_cast<T*>(arenas_[used_++].Place(count * sizeof(T), !random_.OneIn(8)));
  }

  // Random values: all at one end of the range, at both ends, or anywhere.
  template <typename T>
  T* Fill(size_t count, int64_t low, int64_t high) {
    T* values = Memory<T>(count);
    const int64_t kind = random_.Within(0, 7);
    for (size_t i = 0; i < count; ++i) {
      const bool is_high = kind == 1 || (kind == 2 && random_.OneIn(2));
      values[i] = static_cast<T>(kind > 2 ? random_.Within(low, high) : is_high ? high : low);
    }
    return values;
  }

  // run(variant, y) writes the output, `count` elements, of which it may leave some as they are.
  template <typename T, typename Run>
  bool Compare(size_t count, const Run& run) {
    T* expected = Memory<T>(count);
    memset(static_cast<void*>(expected), kUnwritten, count * sizeof(T));
    run(kVariants[kVariantCount - 1], expected);
    T* found = Memory<T>(count);
    for (const Variant* variant : variants_) {
      current_ = variant->name;
      memset(static_cast<void*>(found), kUnwritten, count * sizeof(T));
      run(*variant, found);
      if (memcmp(found, expected, count * sizeof(T)) == 0) continue;
      size_t i = 0;
      while (found[i] == expected[i]) ++i;
      printf("%s differs at %zu: found %lld, expected %lld;", variant->name, i,
             static_cast<long long>(found[i]), static_cast<long long>(expected[i]));
      for (const Note& note : notes_) {
        printf(" %s = %lld", note.name, static_cast<long long>(note.value));
      }
      printf("\n");
      return false;
    }
    return true;
  }

  const char* current() const { return current_; }

 private:
  struct Note {
    const char* name;
    int64_t value;
  };
  static constexpr int kUnwritten = 0xA5;

  std::vector<const Variant*> variants_;
  Random random_{0};
  std::vector<Arena> arenas_;
  size_t used_ = 0;
  std::vector<Note> notes_;
  const char* current_ = "scalar";
};

}  // namespace pqv

#endif  // PQV_TESTS_FUZZ_H_
