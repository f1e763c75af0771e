#include "fuzz/session.h"

namespace pqv {

std::map<std::string, std::string> fake_metadata;
Port fake_input;

namespace {

const OrtApi no_api = {};
alignas(Runtime) const char no_runtime[sizeof(Runtime)] = {};

}  // namespace

Session::Session(const Runtime& runtime, const char* name, const void*, size_t)
    : runtime_(runtime), api_(no_api), name_(name) {
  input_.type = fake_input.type;
  input_.shape = Copy(fake_input.shape);
}

Session::~Session() = default;

const char* Session::Metadata(const char* key) const {
  const auto found = fake_metadata.find(key);
  return found == fake_metadata.end() ? nullptr : found->second.c_str();
}

Session MakeFakeSession() {
  return Session(reinterpret_cast<const Runtime&>(no_runtime), "model", nullptr, 0);
}

}  // namespace pqv
