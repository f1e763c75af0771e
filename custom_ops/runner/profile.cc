#include "runner/profile.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "runner/file.h"

namespace pqv {

namespace {

constexpr char kModelRun[] = "model_run";
constexpr char kBetweenNodes[] = "(between nodes)";

// One execution of a node, or one inference, whose op is kModelRun.
struct Event {
  const char* op;
  const char* name;
  long node;
  double ms;
};

// What follows `key` in a line, null without it. onnxruntime writes one event per line, its keys in
// no certain order.
const char* After(const char* line, const char* key) {
  const char* found = strstr(line, key);
  return found == nullptr ? nullptr : found + strlen(key);
}

// A copy, for good, of the text up to the next quotation mark.
const char* UntilQuote(const char* text) {
  const char* end = strchr(text, '"');
  return end == nullptr ? text : strndup(text, static_cast<size_t>(end - text));
}

bool ParseEvent(const char* line, Event* event) {
  const char* name = After(line, "\"name\" :\"");
  const char* duration = After(line, "\"dur\" :");
  if (name == nullptr || duration == nullptr) return false;
  event->ms = 1e-3 * strtod(duration, nullptr);
  event->name = UntilQuote(name);
  event->node = -1;
  event->op = kModelRun;
  if (strcmp(event->name, kModelRun) == 0) return true;
  const char* op = After(line, "\"op_name\" : \"");
  const char* node = After(line, "\"node_index\" : \"");
  if (strstr(event->name, "_kernel_time") == nullptr || op == nullptr || node == nullptr) {
    return false;
  }
  event->op = UntilQuote(op);
  event->node = strtol(node, nullptr, 10);
  return true;
}

// The events of the inferences after the first `warmup`.
Buffer<Event> ReadEvents(const char* path, unsigned warmup) {
  Buffer<uint8_t> bytes = ReadFile(path);
  bytes.Append('\0');
  Buffer<Event> events;
  unsigned finished = 0;
  char* rest = nullptr;
  for (char* line = strtok_r(reinterpret_cast<char*>(bytes.data()), "\n", &rest); line != nullptr;
       line = strtok_r(nullptr, "\n", &rest)) {
    Event event;
    if (!ParseEvent(line, &event)) continue;
    if (finished >= warmup) events.Append(event);
    if (event.op == kModelRun) ++finished;
  }
  return events;
}

// By op, then node, then time, so that the executions of a node are in a row and sorted.
int CompareEvents(const void* a, const void* b) {
  const Event& x = *static_cast<const Event*>(a);
  const Event& y = *static_cast<const Event*>(b);
  if (const int order = strcmp(x.op, y.op)) return order;
  if (x.node != y.node) return x.node < y.node ? -1 : 1;
  if (const int order = strcmp(x.name, y.name)) return order;
  return static_cast<int>(x.ms > y.ms) - static_cast<int>(x.ms < y.ms);
}

bool SameNode(const Event& a, const Event& b) {
  return a.node == b.node && strcmp(a.op, b.op) == 0 && strcmp(a.name, b.name) == 0;
}

Buffer<OpTime> SumByOp(Buffer<Event> events) {
  qsort(events.data(), events.size(), sizeof(Event), CompareEvents);
  Buffer<OpTime> ops;
  double inference = 0;
  double nodes = 0;
  for (size_t first = 0; first < events.size();) {
    size_t end = first;
    while (end < events.size() && SameNode(events[first], events[end])) ++end;
    const double median = events[first + (end - first - 1) / 2].ms;
    const char* op = events[first].op;
    first = end;
    if (op == kModelRun) {
      inference = median;
      continue;
    }
    nodes += median;
    if (ops.size() == 0 || strcmp(ops[ops.size() - 1].op, op) != 0) ops.Append({op, 0, 0});
    OpTime& last = ops[ops.size() - 1];
    ++last.nodes;
    last.ms += median;
  }
  qsort(ops.data(), ops.size(), sizeof(OpTime), [](const void* a, const void* b) {
    const double x = static_cast<const OpTime*>(a)->ms;
    const double y = static_cast<const OpTime*>(b)->ms;
    return static_cast<int>(x < y) - static_cast<int>(x > y);
  });
  ops.Append({kBetweenNodes, 0, inference > nodes ? inference - nodes : 0});
  return ops;
}

// The signal that is to end the program once the folder below is gone; 0 for none.
volatile sig_atomic_t interrupt = 0;

void NoteInterrupt(int signal) { interrupt = signal; }

// A folder that nobody else can write to, for the profiler's file: onnxruntime would follow a link
// of that name, which it makes from a prefix and the time of day.
char profile_folder[4096];

void RemoveProfileFolder() {
  DIR* folder = opendir(profile_folder);
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder)) unlinkat(dirfd(folder), entry->d_name, 0);
  closedir(folder);
  rmdir(profile_folder);
}

void MakeProfileFolder() {
  const char* parent = getenv("TMPDIR");
  if (parent == nullptr || parent[0] == '\0') parent = ".";
  const int length = snprintf(profile_folder, sizeof(profile_folder), "%s/pqv_run.XXXXXX", parent);
  if (length >= static_cast<int>(sizeof(profile_folder)) || mkdtemp(profile_folder) == nullptr) {
    Fail("%s: no folder can be made there for the profile: %s", parent, strerror(errno));
  }
  CleanUpBefore(RemoveProfileFolder);
}

}  // namespace

Buffer<OpTime> ProfileRuns(const Runtime& runtime, const char* model, const Inputs& input,
                           unsigned warmup, unsigned runs) {
  signal(SIGINT, NoteInterrupt);  // before there is a folder that could be left behind
  signal(SIGTERM, NoteInterrupt);
  MakeProfileFolder();
  char prefix[sizeof(profile_folder) + 16];
  snprintf(prefix, sizeof(prefix), "%s/profile", profile_folder);
  Session session(runtime, model, prefix);
  for (unsigned i = 0; i < warmup + runs && interrupt == 0; ++i) session.Run(input);
  const char* path = session.EndProfiling();
  Buffer<Event> events;
  if (interrupt == 0) events = ReadEvents(path, warmup);
  RemoveProfileFolder();
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  if (interrupt != 0) raise(interrupt);
  return SumByOp(static_cast<Buffer<Event>&&>(events));
}

}  // namespace pqv
