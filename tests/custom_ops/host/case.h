// A case file: a node with its inputs, and what it must give. tests/custom_ops/cases.py writes
// them.

#ifndef PQV_TESTS_CUSTOM_OPS_HOST_CASE_H_
#define PQV_TESTS_CUSTOM_OPS_HOST_CASE_H_

#include "host/stand_in.h"

namespace pqv {

// Blocks of zeros that are freed together.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  void* Allocate(size_t bytes);

 private:
  Buffer<void*> blocks_;
};

// Reads the parts of a case one after the other; what is malformed is given to Fail.
class Case {
 public:
  // Reads the node. `path` is for errors; `bytes` are read later, too.
  Case(const char* path, const uint8_t* bytes, size_t size);

  // Reads what it must give, which follows.
  void ReadExpectation();

  const char* path() const { return path_; }
  const char* op() const { return op_; }
  const OrtKernelInfo& node() const { return node_; }
  // Part of the error that making the node must end in; empty if there is to be none.
  const char* error() const { return error_; }
  const OrtValue& expected() const { return *expected_; }

 private:
  const uint8_t* Take(size_t count);
  uint32_t Number();
  const char* Text();
  const OrtValue* Tensor();

  const char* path_;
  const uint8_t* bytes_;
  size_t left_;
  Memory memory_;
  const char* op_;
  OrtKernelInfo node_;
  const char* error_ = "";
  const OrtValue* expected_ = nullptr;
};

}  // namespace pqv

#endif  // PQV_TESTS_CUSTOM_OPS_HOST_CASE_H_
