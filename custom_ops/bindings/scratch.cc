#include "bindings/scratch.h"

#include <atomic>

#include "bindings/system.h"

namespace pqv {

struct alignas(64) Scratch::Buffer {
  size_t bytes;  // that follow
};

namespace {

constexpr size_t kMaxKeptBytes = 4 << 20;  // of a buffer; larger ones are of large batches

// Buffers that nobody uses. More at once are allocated and freed. They live as long as the
// process, as the library does.
std::atomic<Scratch::Buffer*> kept[16];

bool Keep(Scratch::Buffer* buffer) {
  if (buffer->bytes > kMaxKeptBytes) return false;
  for (auto& slot : kept) {
    Scratch::Buffer* empty = nullptr;
    if (slot.compare_exchange_strong(empty, buffer)) return true;
  }
  return false;
}

void KeepOrFree(Scratch::Buffer* buffer) {
  if (buffer != nullptr && !Keep(buffer)) FreeAligned(buffer);
}

Scratch::Buffer* Allocate(size_t bytes) {
  auto* const buffer =
      static_cast<Scratch::Buffer*>(AllocateAligned(sizeof(Scratch::Buffer) + bytes));
  if (buffer != nullptr) buffer->bytes = bytes;
  return buffer;
}

// One that is large enough. Without any, a smaller one makes room: the number of buffers does not
// grow, and in the end all are as large as the largest that is kept.
Scratch::Buffer* Take(size_t bytes) {
  if (bytes > kMaxKeptBytes) return Allocate(bytes);
  Scratch::Buffer* small = nullptr;
  for (auto& slot : kept) {
    Scratch::Buffer* const buffer = slot.exchange(nullptr);
    if (buffer != nullptr && buffer->bytes >= bytes) {
      KeepOrFree(small);
      return buffer;
    }
    if (buffer == nullptr) continue;
    KeepOrFree(small);
    small = buffer;
  }
  if (small != nullptr) FreeAligned(small);
  return Allocate(bytes);
}

}  // namespace

Scratch::Scratch(size_t bytes) : buffer_(Take(bytes)) {}

Scratch::~Scratch() { KeepOrFree(buffer_); }

void* Scratch::data() const { return buffer_ != nullptr ? buffer_ + 1 : nullptr; }

}  // namespace pqv
