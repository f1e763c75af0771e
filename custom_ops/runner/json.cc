#include "runner/json.h"

#include <stdio.h>

namespace pqv {

namespace {

// Bytes of the character of UTF-8 that a text begins with; 0 if it is none.
size_t CharacterLength(const char* text) {
  const unsigned char first = static_cast<unsigned char>(*text);
  const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if ((first >= 0x80 && first < 0xC2) || first > 0xF4) return 0;
  uint32_t code = first & (length == 1 ? 0x7F : 0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >> 6 != 2) return 0;  // the end of the text, too
    code = code << 6 | (c & 0x3F);
  }
  const bool is_too_long = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool is_surrogate = code >> 11 == 0x1B;
  return is_too_long || is_surrogate || code > 0x10FFFF ? 0 : length;
}

}  // namespace

void Json::BeginValue() {
  if (needs_comma_) text_.Append(", ", 2);
  needs_comma_ = true;
}

void Json::Quote(const char* value) {
  text_.Append('"');
  while (*value != '\0') {
    const unsigned char c = static_cast<unsigned char>(*value);
    const size_t length = CharacterLength(value);
    if (length == 0 || c < ' ') {  // paths may have any bytes
      char escape[8];
      snprintf(escape, sizeof(escape), "\\u%04x", length == 0 ? 0xFFFD : c);
      text_.Append(escape, strlen(escape));
    } else {
      if (c == '"' || c == '\\') text_.Append('\\');
      text_.Append(value, length);
    }
    value += length == 0 ? 1 : length;
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
