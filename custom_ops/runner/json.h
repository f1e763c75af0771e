// JSON as text that grows.

#ifndef PQV_RUNNER_JSON_H_
#define PQV_RUNNER_JSON_H_

#include "runner/buffer.h"

namespace pqv {

// Calls must come in the order of the text; commas come by themselves.
class Json {
 public:
  // A value, after Key in an object. Doubles keep six places behind the point; those that
  // are not finite, which JSON lacks, become null.
  void String(const char* value);
  void Integer(long long value);
  void Double(double value);
  void Null();
  // Text that is JSON already.
  void Verbatim(const char* text, size_t length);

  void Key(const char* name);
  void BeginObject();
  void EndObject();
  void BeginArray();
  void EndArray();

  const Buffer<char>& text() const { return text_; }

 private:
  void BeginValue();
  void Quote(const char* value);

  Buffer<char> text_;
  bool needs_comma_ = false;
};

}  // namespace pqv

#endif  // PQV_RUNNER_JSON_H_
