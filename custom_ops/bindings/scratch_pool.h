// Memory that a node lends to its tasks and keeps for the next ones: after the first run nothing is
// allocated, and concurrent runs never share a buffer.

#ifndef PQV_BINDINGS_SCRATCH_POOL_H_
#define PQV_BINDINGS_SCRATCH_POOL_H_

#include <stddef.h>

#include <atomic>

#include "bindings/system.h"

namespace pqv {

class ScratchPool {
 public:
  ScratchPool() = default;
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;
  ~ScratchPool() {
    for (std::atomic<Buffer*>& slot : slots_) FreeAligned(slot.load());
  }

 private:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kSlots = 16;  // buffers kept; more tasks at once allocate theirs

  struct alignas(kAlignment) Buffer {
    size_t bytes;  // that follow
  };

 public:
  // A buffer for the life of the object, aligned to 64 bytes.
  class Lease {
   public:
    Lease(ScratchPool* pool, size_t bytes) : pool_(pool), buffer_(pool->Take(bytes)) {}
    ~Lease() {
      if (buffer_ != nullptr) pool_->GiveBack(buffer_);
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    // Null if the memory cannot be had.
    void* data() const { return buffer_ != nullptr ? buffer_ + 1 : nullptr; }

   private:
    ScratchPool* pool_;
    Buffer* buffer_;
  };

 private:
  Buffer* Take(size_t bytes) {
    for (std::atomic<Buffer*>& slot : slots_) {
      Buffer* buffer = slot.exchange(nullptr);
      if (buffer == nullptr) continue;
      if (buffer->bytes >= bytes) return buffer;
      FreeAligned(buffer);  // of a run with smaller inputs
    }
    Buffer* buffer = static_cast<Buffer*>(AllocateAligned(sizeof(Buffer) + bytes));
    if (buffer == nullptr) return nullptr;
    buffer->bytes = bytes;
    return buffer;
  }

  void GiveBack(Buffer* buffer) {
    for (std::atomic<Buffer*>& slot : slots_) {
      Buffer* empty = nullptr;
      if (slot.compare_exchange_strong(empty, buffer)) return;
    }
    FreeAligned(buffer);
  }

  std::atomic<Buffer*> slots_[kSlots] = {};
};

}  // namespace pqv

#endif  // PQV_BINDINGS_SCRATCH_POOL_H_
