// A case file without what is expected (tests/custom_ops/case_file.py): any node with any inputs
// ends in a status or an output.

#include "custom_ops/host/case.h"
#include "custom_ops/host/node.h"
#include "fuzz/fail.h"

extern "C" OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* api);

namespace {

const OrtSessionOptions& Ops() {
  static OrtSessionOptions options;
  if (options.ops.size() == 0) RegisterCustomOps(&options, pqv::StandIn());
  return options;
}

void Run(const OrtCustomOp* op, const OrtKernelInfo& info) {
  // onnxruntime checks the number of inputs and their types before there is a node.
  if (info.inputs.size() != op->GetInputTypeCount(op)) return;
  for (size_t i = 0; i < info.inputs.size(); ++i) {
    if (info.inputs[i]->type != op->GetInputType(op, i)) return;
  }
  const pqv::Node node(op, info);
  if (node.status() != nullptr) return;
  for (int run = 0; run < 2; ++run) {
    OrtValue* output = nullptr;
    pqv::ReleaseStatus(node.Run(&output));
    if (output != nullptr && output->data[output->bytes] != 0x55) abort();
    pqv::FreeValue(output);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const pqv::Case one("case", data, size);
    const OrtCustomOp* op = pqv::FindOp(Ops(), one.op());
    if (op != nullptr) Run(op, one.node());
  } catch (const pqv::Failed&) {
  }
  if (pqv::LiveObjects() != 0) abort();
  return 0;
}
