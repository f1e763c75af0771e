#include "runner/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pqv {

namespace {

constexpr size_t kPathRoom = 4096;
constexpr size_t kMaxFileBytes = size_t{1} << 30;

// A file to be written: what `path` names or, of a link, leads to.
struct Place {
  char path[kPathRoom];
  bool is_special;  // a device or a pipe, which is written into
  mode_t mode;      // of the file that is there, or of a new one
};

[[noreturn]] void FailToWrite(const char* path, int error) {
  Fail("%s: cannot be written: %s", path, strerror(error));
}

// The length of the part of a path up to its last slash.
size_t FolderLength(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == nullptr ? 0 : static_cast<size_t>(slash + 1 - path);
}

// Replaces the path of a link by what it leads to, there or not; false if it is none, or the new
// path is too long.
bool FollowLink(char* path, size_t room) {
  char target[kPathRoom];
  const ssize_t length = readlink(path, target, sizeof(target));
  if (length <= 0) return false;
  const size_t folder = target[0] == '/' ? 0 : FolderLength(path);
  if (folder + static_cast<size_t>(length) >= room) return false;
  memcpy(path + folder, target, static_cast<size_t>(length));
  path[folder + static_cast<size_t>(length)] = '\0';
  return true;
}

Place FindPlace(const char* path) {
  Place place = {{}, false, 0};
  struct stat found;
  const bool exists = stat(path, &found) == 0;
  if (!exists && errno != ENOENT) FailToWrite(path, errno);
  if (exists && S_ISDIR(found.st_mode)) FailToWrite(path, EISDIR);
  place.is_special = exists && !S_ISREG(found.st_mode);
  const mode_t mask = umask(0);
  umask(mask);
  place.mode = exists ? found.st_mode & 07777 : 0666 & ~mask;
  const size_t length = strlen(path);
  if (length >= sizeof(place.path)) FailToWrite(path, ENAMETOOLONG);
  memcpy(place.path, path, length + 1);
  // What a pipe behind /dev/stdout leads to cannot be opened. Links end, as stat has found.
  while (!place.is_special && FollowLink(place.path, sizeof(place.path))) {
  }
  return place;
}

int WriteAll(int descriptor, const void* bytes, size_t count) {
  const char* at = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = write(descriptor, at, count);
    if (written < 0 && errno != EINTR) return errno;
    if (written < 0) continue;
    at += written;
    count -= static_cast<size_t>(written);
  }
  return 0;
}

// Writes into a device or a pipe. Returns an errno.
int WriteInto(const char* path, const void* bytes, size_t count) {
  const int descriptor = open(path, O_WRONLY);
  if (descriptor < 0) return errno;
  const int error = WriteAll(descriptor, bytes, count);
  return close(descriptor) != 0 && error == 0 ? errno : error;
}

// Writes a new file of a random name in the same folder, never what a link of that name leads to,
// and renames it. Returns an errno.
int Replace(const Place& place, const void* bytes, size_t count) {
  char temporary[kPathRoom + 16];
  snprintf(temporary, sizeof(temporary), "%.*s.pqv_run.XXXXXX",
           static_cast<int>(FolderLength(place.path)), place.path);
  const int descriptor = mkstemp(temporary);
  if (descriptor < 0) return errno;
  int error = WriteAll(descriptor, bytes, count);
  if (error == 0 && fchmod(descriptor, place.mode) != 0) error = errno;
  if (close(descriptor) != 0 && error == 0) error = errno;
  if (error == 0 && rename(temporary, place.path) != 0) error = errno;
  if (error != 0) unlink(temporary);
  return error;
}

}  // namespace

Buffer<uint8_t> ReadFile(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) Fail("%s: cannot be read: %s", path, strerror(errno));
  constexpr size_t kChunk = size_t{1} << 20;
  Buffer<uint8_t> bytes;
  size_t used = 0;
  size_t found = 0;
  do {
    bytes.Resize(used + kChunk);
    found = fread(bytes.data() + used, 1, kChunk, file);
    used += found;
    if (used > kMaxFileBytes) {
      Fail("%s: has too many bytes, expected at most %zu", path, kMaxFileBytes);
    }
  } while (found == kChunk);
  if (ferror(file)) Fail("%s: cannot be read: %s", path, strerror(errno));
  fclose(file);
  bytes.Resize(used);
  return bytes;
}

void CheckWritable(const char* path) {
  const Place place = FindPlace(path);
  char folder[kPathRoom];
  const size_t length = FolderLength(place.path);
  memcpy(folder, place.path, length);
  memcpy(folder + length, ".", 2);
  if (access(place.is_special ? place.path : folder, W_OK) != 0) FailToWrite(path, errno);
}

void WriteFile(const char* path, const void* bytes, size_t count) {
  const Place place = FindPlace(path);
  if (place.is_special) {
    if (const int error = WriteInto(place.path, bytes, count)) FailToWrite(path, error);
    return;
  }
  // An interrupt waits until nothing is half done.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  const int error = Replace(place, bytes, count);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) FailToWrite(path, error);
}

}  // namespace pqv
