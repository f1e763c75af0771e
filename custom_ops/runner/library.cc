#include "runner/library.h"

#include <stdio.h>

#include "runner/fail.h"
#include "runner/input.h"

namespace pqv {

namespace {

// A model of one node, Info of the domain pqv.library, in the protobuf encoding of onnx.proto. A
// field is its number and type in a byte, then its length, then its content.
constexpr char kModel[] =
    "\x08\x0a"  // ir_version: 10
    ":\x4d"     // graph
    "\x0a\x20"  //   node
    "\x0a\x05"  //     input
    "probe"
    "\x12\x04"  //     output
    "text"
    "\"\x04"  //       op_type
    "Info"
    ":\x0b"  //        domain
    "pqv.library"
    "\x12\x04"  //   name
    "info"
    "Z\x11\x0a\x05"  //   input: its name, its type int8, its shape [open]
    "probe"
    "\x12\x08\x0a\x06\x08\x03\x12\x02\x0a\x00"
    "b\x10\x0a\x04"  //   output: its name, its type uint8, its shape [open]
    "text"
    "\x12\x08\x0a\x06\x08\x02\x12\x02\x0a\x00"
    "B\x04\x0a\x00\x10\x12"  // opset_import: the standard ops, 18
    "B\x0f\x0a\x0b"          // opset_import: the library's, 1
    "pqv.library"
    "\x10\x01";

}  // namespace

Buffer<char> LibraryInfo(const Runtime& runtime) {
  Session session(runtime, "the op library", kModel, sizeof(kModel) - 1);
  const Result result = session.Run(MakeRandomInput(session));
  Buffer<char> text;
  text.Append(static_cast<const char*>(result.data), result.count);
  text.Append('\0');
  return text;
}

void CheckOpDomainVersion(const char* model, const Session& session, const Buffer<char>& info) {
  constexpr char kKey[] = "\"op_domain_version\": ";
  const char* wanted = session.Metadata("pqv.op_domain_version");
  const char* found = strstr(info.data(), kKey);
  if (wanted == nullptr || found == nullptr) return;
  const long has = strtol(found + strlen(kKey), nullptr, 10);
  char expected[24];
  snprintf(expected, sizeof(expected), "%ld", has);
  if (strcmp(wanted, expected) == 0) return;
  Fail("%s: the model wants version %s of the op domain pqv, the library has version %ld", model,
       wanted, has);
}

}  // namespace pqv
