#include "runner/json.h"

#include <stdio.h>

namespace pqv {

void Json::BeginValue() {
  if (needs_comma_) text_.Append(", ", 2);
  needs_comma_ = true;
}

void Json::Quote(const char* value) {
  text_.Append('"');
  for (; *value != '\0'; ++value) {
    const unsigned char c = static_cast<unsigned char>(*value);
    if (c < ' ') {
      char escape[8];
      snprintf(escape, sizeof(escape), "\\u%04x", c);
      text_.Append(escape, strlen(escape));
      continue;
    }
    if (c == '"' || c == '\\') text_.Append('\\');
    text_.Append(*value);
  }
  text_.Append('"');
}

void Json::String(const char* value) {
  BeginValue();
  Quote(value);
}

void Json::Integer(long long value) {
  char digits[32];
  snprintf(digits, sizeof(digits), "%lld", value);
  Verbatim(digits, strlen(digits));
}

void Json::Double(double value) {
  if (!__builtin_isfinite(value)) return Null();
  char digits[400];
  snprintf(digits, sizeof(digits), "%.6f", value);
  Verbatim(digits, strlen(digits));
}

void Json::Null() { Verbatim("null", 4); }

void Json::Verbatim(const char* text, size_t length) {
  BeginValue();
  text_.Append(text, length);
}

void Json::Key(const char* name) {
  BeginValue();
  Quote(name);
  text_.Append(": ", 2);
  needs_comma_ = false;
}

void Json::BeginObject() {
  BeginValue();
  text_.Append('{');
  needs_comma_ = false;
}

void Json::EndObject() {
  text_.Append('}');
  needs_comma_ = true;
}

void Json::BeginArray() {
  BeginValue();
  text_.Append('[');
  needs_comma_ = false;
}

void Json::EndArray() {
  text_.Append(']');
  needs_comma_ = true;
}

}  // namespace pqv
