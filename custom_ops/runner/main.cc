// pqv_run: exported models on onnxruntime, without Python. See runner/options.cc for its options.

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "runner/file.h"
#include "runner/input.h"
#include "runner/labels.h"
#include "runner/library.h"
#include "runner/options.h"
#include "runner/report.h"
#include "runner/session.h"
#include "runner/timing.h"

namespace pqv {

namespace {

void SetAffinity(uint64_t mask) {
  cpu_set_t set;
  memset(&set, 0, sizeof(set));
  memcpy(&set, &mask, sizeof(mask));
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    Fail("--cpu-mask %llx: %s", static_cast<unsigned long long>(mask), strerror(errno));
  }
}

// Runs all inputs and reports their best classes. Returns the outputs one after another.
Buffer<uint8_t> Classify(Session* session, const Options& options, Json* json) {
  const ONNXTensorElementDataType type = session->output().type;
  const Buffer<const char*> labels = ReadLabels(*session);
  Buffer<uint8_t> outputs;
  json->Key("results");
  json->BeginArray();
  for (const char* path : options.inputs) {
    const Inputs inputs = ReadInput(path, *session);
    for (size_t i = 0; i < inputs.count; ++i) {
      const Result result = session->Run(inputs, i);
      outputs.Append(static_cast<const uint8_t*>(result.data), result.count * TypeBytes(type));
      if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) continue;
      ReportTop({path, i, inputs.count}, static_cast<const float*>(result.data), result.count,
                labels, options.top, json);
    }
  }
  json->EndArray();
  return outputs;
}

void Benchmark(const Runtime& runtime, Session* session, const Options& options, Json* json) {
  const Inputs input = options.inputs.size() > 0 ? ReadInput(options.inputs[0], *session)
                                                 : MakeRandomInput(*session);
  ReportMachine("before", options, json);
  const Timing timing = TimeRuns(session, input, options.warmup, options.runs);
  ReportMachine("after", options, json);
  ReportTiming(timing, options, json);
  if (!options.profile) return;
  ReportProfile(ProfileRuns(runtime, options.model, input, options.warmup, options.runs), json);
}

void Main(const Options& options) {
  if (options.cpu_mask != 0) SetAffinity(options.cpu_mask);
  if (options.output != nullptr) CheckWritable(options.output);
  if (options.json != nullptr) CheckWritable(options.json);
  const Runtime runtime(options);
  Json json;
  json.BeginObject();
  Buffer<char> info;
  if (runtime.has_library()) info = LibraryInfo(runtime);
  ReportSetting(runtime, options, info.data(), &json);
  const double start = Milliseconds();
  Session session(runtime, options.model);
  json.Key("load_ms");
  json.Double(Milliseconds() - start);
  if (runtime.has_library()) CheckOpDomainVersion(options.model, session, info);
  const Buffer<uint8_t> outputs = Classify(&session, options, &json);
  if (options.output != nullptr) WriteFile(options.output, outputs.data(), outputs.size());
  if (options.runs > 0) Benchmark(runtime, &session, options, &json);
  json.EndObject();
  if (options.json != nullptr) WriteFile(options.json, json.text().data(), json.text().size());
}

}  // namespace

}  // namespace pqv

int main(int argc, char** argv) {
  pqv::Main(pqv::ParseOptions(argc, argv));
  if (fflush(stdout) != 0 || ferror(stdout)) pqv::Fail("the standard output cannot be written");
  return 0;
}
