// pqv_run: exported models on onnxruntime, without Python. See runner/options.cc for its options.

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "runner/file.h"
#include "runner/input.h"
#include "runner/options.h"
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

// The best classes, the lower one first where two are equal.
void PrintTop(const float* logits, size_t count, unsigned top) {
  Buffer<bool> shown(count);
  memset(shown.data(), 0, count);
  for (unsigned k = 0; k < top && k < count; ++k) {
    size_t best = count;
    for (size_t i = 0; i < count; ++i) {
      if (!shown[i] && (best == count || logits[i] > logits[best])) best = i;
    }
    shown[best] = true;
    printf("  %5zu  %9.4f\n", best, static_cast<double>(logits[best]));
  }
}

// Runs all inputs and shows their best classes. Returns the outputs one after another.
Buffer<uint8_t> Classify(Session* session, const Options& options) {
  const size_t input_bytes = session->input().ByteCount();
  const Port& output = session->output();
  Buffer<uint8_t> outputs;
  for (const char* path : options.inputs) {
    const Buffer<uint8_t> bytes = ReadInput(path, session->input());
    for (size_t i = 0; i < bytes.size() / input_bytes; ++i) {
      const void* result = session->Run(bytes.data() + i * input_bytes);
      outputs.Append(static_cast<const uint8_t*>(result), output.ByteCount());
      if (output.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) continue;
      if (bytes.size() == input_bytes) {
        printf("%s\n", path);
      } else {
        printf("%s[%zu]\n", path, i);
      }
      PrintTop(static_cast<const float*>(result), output.ElementCount(), options.top);
    }
  }
  return outputs;
}

void Benchmark(Session* session, const Options& options) {
  const Buffer<uint8_t> input = options.inputs.size() > 0
                                    ? ReadInput(options.inputs[0], session->input())
                                    : MakeRandomInput(session->input());
  const Timing timing = TimeRuns(session, input.data(), options.warmup, options.runs);
  printf("%u threads, %zu runs: p50 %.3f ms, p90 %.3f, p99 %.3f, minimum %.3f, mean %.3f\n",
         options.threads, timing.runs, timing.p50, timing.p90, timing.p99, timing.minimum,
         timing.mean);
}

void Main(const Options& options) {
  if (options.cpu_mask != 0) SetAffinity(options.cpu_mask);
  Session session(options);
  const Buffer<uint8_t> outputs = Classify(&session, options);
  if (options.output != nullptr) WriteFile(options.output, outputs.data(), outputs.size());
  if (options.runs > 0) Benchmark(&session, options);
}

}  // namespace

}  // namespace pqv

int main(int argc, char** argv) {
  pqv::Main(pqv::ParseOptions(argc, argv));
  return 0;
}
