#include "runner/runtime.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "runner/fail.h"

namespace pqv {

namespace {

// The path of a file of this name in the folder of this program, for good; null if there is none.
const char* BesideProgram(const char* name) {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) return nullptr;
  path[length] = '\0';
  char* slash = strrchr(path, '/');
  if (slash == nullptr) return nullptr;
  const size_t room = sizeof(path) - static_cast<size_t>(slash + 1 - path);
  if (snprintf(slash + 1, room, "%s", name) >= static_cast<int>(room)) return nullptr;
  return access(path, R_OK) == 0 ? strdup(path) : nullptr;
}

constexpr size_t kElfHeaderBytes = 20;  // up to the machine, the last two of them

bool ReadElfHeader(const char* path, char* header) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) return false;
  const size_t count = fread(header, 1, kElfHeaderBytes, file);
  fclose(file);
  return count == kElfHeaderBytes && memcmp(header, "\177ELF", 4) == 0;
}

// Ends the program if a library is for another processor than it: of such a library the C library
// of Linux says that there is no such file.
void CheckProcessor(const char* path) {
  char own[kElfHeaderBytes];
  char other[kElfHeaderBytes];
  if (!ReadElfHeader("/proc/self/exe", own) || !ReadElfHeader(path, other)) return;
  constexpr size_t kMachine = kElfHeaderBytes - 2;
  if (memcmp(own + kMachine, other + kMachine, 2) == 0) return;
  Fail("%s: is for another processor (ELF machine %d, expected %d)", path,
       static_cast<unsigned char>(other[kMachine]), static_cast<unsigned char>(own[kMachine]));
}

bool IsAtLeast(const char* version, long major, long minor) {
  char* end = nullptr;
  const long found_major = strtol(version, &end, 10);
  const long found_minor = *end == '.' ? strtol(end + 1, nullptr, 10) : 0;
  return found_major != major ? found_major > major : found_minor >= minor;
}

}  // namespace

Runtime::Runtime(const Options& options) : threads_(options.threads) {
  LoadOnnxruntime(options.onnxruntime);
  Check(api_->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "pqv_run", &env_), "onnxruntime");
  if (options.functions) return;
  library_ = options.library != nullptr ? options.library : BesideProgram("libpqv_ops.so");
  if (library_ == nullptr) {
    Fail(
        "there is no libpqv_ops.so beside this program: --library names it, --functions runs "
        "without it");
  }
  CheckProcessor(library_);
}

void Runtime::LoadOnnxruntime(const char* path) {
  constexpr char kName[] = "libonnxruntime.so";
  if (path == nullptr) path = BesideProgram(kName);
  if (path != nullptr) CheckProcessor(path);
  void* library = dlopen(path == nullptr ? kName : path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    Fail("onnxruntime cannot be loaded, --onnxruntime names its library: %s", dlerror());
  }
  using GetApiBase = const OrtApiBase* (*)();
  const auto get_api_base = reinterpret_cast<GetApiBase>(dlsym(library, "OrtGetApiBase"));
  if (get_api_base == nullptr) Fail("%s: not onnxruntime: it has no OrtGetApiBase", path);
  const OrtApiBase* base = get_api_base();
  version_ = base->GetVersionString();
  // Asked for by version first: onnxruntime prints a line of its own where it has no such table.
  if (IsAtLeast(version_, 1, kOrtApiVersion)) api_ = base->GetApi(kOrtApiVersion);
  if (api_ == nullptr) {
    Fail("onnxruntime %s is too old: 1.%u or newer is needed", version_, kOrtApiVersion);
  }
}

OrtSessionOptions* Runtime::MakeSessionOptions(const char* profile_prefix) const {
  OrtSessionOptions* made = nullptr;
  Check(api_->CreateSessionOptions(&made), "onnxruntime");
  Check(api_->SetIntraOpNumThreads(made, static_cast<int>(threads_)), "onnxruntime");
  if (profile_prefix != nullptr) Check(api_->EnableProfiling(made, profile_prefix), "onnxruntime");
  if (library_ != nullptr) Check(api_->RegisterCustomOpsLibrary_V2(made, library_), library_);
  return made;
}

void Runtime::Check(OrtStatus* status, const char* what) const {
  if (status == nullptr) return;
  // Some of onnxruntime's messages have several lines.
  char text[2048];
  size_t used = 0;
  for (const char* from = api_->GetErrorMessage(status); *from != '\0'; ++from) {
    const char c = *from == '\n' ? ' ' : *from;
    if (used + 1 < sizeof(text) && !(c == ' ' && used > 0 && text[used - 1] == ' ')) {
      text[used++] = c;
    }
  }
  text[used] = '\0';
  Fail("%s: %s", what, text);
}

}  // namespace pqv
