// The op Info: what this library is and which variant ran, as JSON.

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "bindings/ops.h"

#ifndef PQV_VERSION
#error "PQV_VERSION comes from CMakeLists.txt"
#endif

namespace pqv {
namespace {

// Text that only grows and never beyond its buffer.
class Text {
 public:
  [[gnu::format(printf, 2, 3)]] void Append(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int written = vsnprintf(text_ + size_, sizeof(text_) - size_, format, arguments);
    va_end(arguments);
    const size_t room = sizeof(text_) - 1 - size_;
    if (written > 0) size_ += static_cast<size_t>(written) < room ? written : room;
  }

  const char* data() const { return text_; }
  size_t size() const { return size_; }

 private:
  char text_[2048] = {};
  size_t size_ = 0;
};

constexpr InputDeclaration kInfoInputs[] = {{"trigger", kInt8, 0, 0, 0}};
constexpr OpDeclaration kInfoDeclaration = {"Info", kUint8, kInfoInputs, 1, nullptr, 0};

class InfoNode {
 public:
  OrtStatus* Create(const NodeReader&, const Variant& variant) {
    selected_ = variant.name;
    return nullptr;
  }

  OrtStatus* Run(const RunContext& context) const {
    Text json;
    json.Append("{\"version\": \"%s\", \"op_domain_version\": %d, ", PQV_VERSION, kDomainVersion);
    AppendNames("variants", [](const Variant&) { return true; }, &json);
    AppendNames("available", [](const Variant& variant) { return variant.supported(); }, &json);
    json.Append("\"selected\": \"%s\", \"runs\": {", selected_);
    for (size_t i = 0; i < kVariantCount; ++i) {
      json.Append("%s\"%s\": %" PRIu64, i > 0 ? ", " : "", kVariants[i].name, RunCount(i));
    }
    json.Append("}}");

    char* output = nullptr;
    PQV_RETURN_IF_ERROR(context.Output({1, {static_cast<int64_t>(json.size())}}, &output));
    memcpy(output, json.data(), json.size());
    return nullptr;
  }

 private:
  template <typename Filter>
  static void AppendNames(const char* key, const Filter& filter, Text* json) {
    json->Append("\"%s\": [", key);
    const char* separator = "";
    for (size_t i = 0; i < kVariantCount; ++i) {
      if (!filter(kVariants[i])) continue;
      json->Append("%s\"%s\"", separator, kVariants[i].name);
      separator = ", ";
    }
    json->Append("], ");
  }

  const char* selected_ = nullptr;
};

}  // namespace

PQV_DEFINE_OP(Info, InfoNode);

}  // namespace pqv
