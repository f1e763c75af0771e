// A node of an op library, made, run and destroyed through the C ABI.

#ifndef PQV_TESTS_CUSTOM_OPS_HOST_NODE_H_
#define PQV_TESTS_CUSTOM_OPS_HOST_NODE_H_

#include <string.h>

#include "host/stand_in.h"

namespace pqv {

// The op of a name; null if the library has none.
inline const OrtCustomOp* FindOp(const OrtSessionOptions& options, const char* name) {
  for (const OrtCustomOp* op : options.ops) {
    if (strcmp(op->GetName(op), name) == 0) return op;
  }
  return nullptr;
}

class Node {
 public:
  Node(const OrtCustomOp* op, const OrtKernelInfo& info) : op_(op), info_(info) {
    status_ = op->CreateKernelV2(op, StandIn()->GetApi(kOrtApiVersion), &info, &kernel_);
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() {
    if (status_ == nullptr) op_->KernelDestroy(kernel_);
    ReleaseStatus(status_);
  }

  // Why there is no node; null if there is one.
  const OrtStatus* status() const { return status_; }

  // Runs it, on several threads at once if wanted. The output, if there is one, is the caller's to
  // free by FreeValue, a status by ReleaseStatus.
  OrtStatus* Run(OrtValue** output) const {
    OrtKernelContext context = {&info_, op_->GetOutputType(op_, 0), nullptr};
    OrtStatus* status = op_->KernelComputeV2(kernel_, &context);
    *output = context.output;
    return status;
  }

 private:
  const OrtCustomOp* op_;
  const OrtKernelInfo& info_;
  void* kernel_ = nullptr;
  OrtStatus* status_;
};

}  // namespace pqv

#endif  // PQV_TESTS_CUSTOM_OPS_HOST_NODE_H_
