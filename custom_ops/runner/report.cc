#include "runner/report.h"

#include <math.h>
#include <stdio.h>

#include "runner/fail.h"
#include "runner/machine.h"

namespace pqv {

namespace {

void Add(const char* key, double value, Json* json) {
  json->Key(key);
  if (value == kUnknown) {
    json->Null();
  } else {
    json->Double(value);
  }
}

void Add(const char* key, unsigned value, Json* json) {
  json->Key(key);
  json->Integer(value);
}

Buffer<double> Softmax(const float* logits, size_t count) {
  if (count == 0) return {};
  float largest = logits[0];
  for (size_t i = 1; i < count; ++i) largest = logits[i] > largest ? logits[i] : largest;
  Buffer<double> probabilities(count);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    probabilities[i] = exp(static_cast<double>(logits[i]) - static_cast<double>(largest));
    sum += probabilities[i];
  }
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

}  // namespace

void ReportSetting(const Runtime& runtime, const Options& options, const char* info, Json* json) {
  json->Key("model");
  json->String(options.model);
  json->Key("onnxruntime");
  json->String(runtime.version());
  json->Key("library");
  if (info != nullptr) {
    json->Verbatim(info, strlen(info));
  } else {
    json->Null();
  }
  Add("threads", options.threads, json);
  json->Key("cpu_mask");
  char mask[32];
  snprintf(mask, sizeof(mask), "%llx", static_cast<unsigned long long>(options.cpu_mask));
  if (options.cpu_mask != 0) {
    json->String(mask);
  } else {
    json->Null();
  }
}

void ReportTop(const InputName& name, const float* logits, size_t count,
               const Buffer<const char*>& labels, unsigned top, Json* json) {
  PrintText(stdout, name.path);
  printf(name.count > 1 ? "[%zu]\n" : "\n", name.index);
  json->BeginObject();
  json->Key("input");
  json->String(name.path);
  json->Key("index");
  json->Integer(static_cast<long long>(name.index));
  json->Key("top");
  json->BeginArray();
  Buffer<bool> shown(count);
  for (bool& is_shown : shown) is_shown = false;
  const Buffer<double> probabilities = Softmax(logits, count);
  for (unsigned k = 0; k < top && k < count; ++k) {
    size_t best = count;
    for (size_t i = 0; i < count; ++i) {
      if (!shown[i] && (best == count || logits[i] > logits[best])) best = i;
    }
    shown[best] = true;
    const double logit = static_cast<double>(logits[best]);
    const bool named = best < labels.size();
    printf("  %6.2f%%  ", 100 * probabilities[best]);
    if (named) {
      PrintText(stdout, labels[best]);
      printf("\n");
    } else {
      printf("class %zu\n", best);
    }
    json->BeginObject();
    json->Key("class");
    json->Integer(static_cast<long long>(best));
    json->Key("label");
    if (named) {
      json->String(labels[best]);
    } else {
      json->Null();
    }
    Add("logit", logit, json);
    Add("probability", probabilities[best], json);
    json->EndObject();
  }
  json->EndArray();
  json->EndObject();
}

void ReportMachine(const char* when, const Options& options, Json* json) {
  json->Key(when);
  json->BeginObject();
  Add("temperature", ReadTemperature(options.sysfs), json);
  json->Key("clocks");
  json->BeginArray();
  for (const Clock& clock : ReadClocks(options.sysfs, options.cpu_mask)) {
    json->BeginObject();
    Add("cpu", clock.cpu, json);
    Add("mhz", clock.mhz, json);
    Add("maximum_mhz", clock.maximum_mhz, json);
    json->EndObject();
  }
  json->EndArray();
  json->EndObject();
}

void ReportTiming(const Timing& timing, const Options& options, Json* json) {
  const double memory = PeakMemoryBytes();
  printf("%u threads, %zu runs: p50 %.3f ms, p90 %.3f, p99 %.3f, minimum %.3f, mean %.3f\n",
         options.threads, timing.runs, timing.p50, timing.p90, timing.p99, timing.minimum,
         timing.mean);
  if (memory != kUnknown) printf("peak memory %.1f MB\n", 1e-6 * memory);
  Add("warmup", options.warmup, json);
  Add("runs", options.runs, json);
  json->Key("ms");
  json->BeginObject();
  Add("p50", timing.p50, json);
  Add("p90", timing.p90, json);
  Add("p99", timing.p99, json);
  Add("minimum", timing.minimum, json);
  Add("mean", timing.mean, json);
  json->EndObject();
  json->Key("peak_memory_bytes");
  if (memory == kUnknown) {
    json->Null();
  } else {
    json->Integer(static_cast<long long>(memory));
  }
}

void ReportProfile(const Buffer<OpTime>& ops, Json* json) {
  double sum = 0;
  for (const OpTime& op : ops) sum += op.ms;
  json->Key("profile");
  json->BeginArray();
  for (const OpTime& op : ops) {
    const double share = sum > 0 ? op.ms / sum : 0;
    printf("  ");
    PrintText(stdout, op.op);
    const size_t length = strlen(op.op);
    printf("%*s %4zu nodes  %9.3f ms  %5.1f%%\n", length < 28 ? static_cast<int>(28 - length) : 0,
           "", op.nodes, op.ms, 100 * share);
    json->BeginObject();
    json->Key("op");
    json->String(op.op);
    json->Key("nodes");
    json->Integer(static_cast<long long>(op.nodes));
    Add("ms", op.ms, json);
    Add("share", share, json);
    json->EndObject();
  }
  json->EndArray();
}

}  // namespace pqv
