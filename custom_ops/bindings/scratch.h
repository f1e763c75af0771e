// Memory for the time of a task. It is kept for the next one, of whatever node: from the second run
// on hardly anything is allocated, no page is touched for the first time, and what one node leaves
// in the caches is of use to the next. At most 16 buffers of 4 MiB stay when no session is left.

#ifndef PQV_BINDINGS_SCRATCH_H_
#define PQV_BINDINGS_SCRATCH_H_

#include <stddef.h>

namespace pqv {

// A buffer for the life of the object, aligned to 64 bytes. No two share one.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Null if the memory cannot be had.
  void* data() const;

  struct Buffer;

 private:
  Buffer* const buffer_;
};

}  // namespace pqv

#endif  // PQV_BINDINGS_SCRATCH_H_
