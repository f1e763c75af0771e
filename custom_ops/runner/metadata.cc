#include "runner/metadata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/fail.h"

namespace pqv {

namespace {

constexpr double kMaxSide = 4096;

struct Limits {
  double low;
  double high;
};

constexpr Limits kSide = {1, kMaxSide};
constexpr Limits kCrop = {0.01, 10};
constexpr Limits kMean = {-1e6, 1e6};
constexpr Limits kStd = {1e-6, 1e6};

struct Number {
  const char* text;
  int length;
  double value;
  bool is_whole;
};

// The numbers of a list, and how many it has, which may be more.
struct Numbers {
  Number kept[kMaxImageChannels];
  size_t count;
};

const char* Entry(const Session& session, const char* key) {
  const char* value = session.Metadata(key);
  if (value == nullptr) Fail("the model's metadata has no %s: give .npy or .raw files", key);
  return value;
}

const char* SkipSpace(const char* at) { return at + strspn(at, " \t\n\r"); }

const char* SkipDigits(const char* at) { return at + strspn(at, "0123456789"); }

// Reads a number as JSON has it (RFC 8259, section 6), which strtod does not insist on. Returns
// what is behind it, null if there is no number.
const char* ReadNumber(const char* text, Number* number) {
  const char* at = text + (*text == '-' ? 1 : 0);
  const char* end = *at == '0' ? at + 1 : SkipDigits(at);
  if (end == at) return nullptr;
  const char* whole = end;
  if (*end == '.') {
    at = end + 1;
    end = SkipDigits(at);
    if (end == at) return nullptr;
  }
  if (*end == 'e' || *end == 'E') {
    at = end + (end[1] == '-' || end[1] == '+' ? 2 : 1);
    end = SkipDigits(at);
    if (end == at) return nullptr;
  }
  *number = {text, static_cast<int>(end - text), strtod(text, nullptr), end == whole};
  return end;
}

// The numbers of a JSON list; false if the text is something else.
bool ReadList(const char* text, Numbers* numbers) {
  const char* at = SkipSpace(text);
  if (*at != '[') return false;
  at = SkipSpace(at + 1);
  numbers->count = 0;
  for (bool first = true; first ? *at != ']' : *at == ','; first = false) {
    if (!first) at = SkipSpace(at + 1);
    Number number;
    at = ReadNumber(at, &number);
    if (at == nullptr) return false;
    if (numbers->count < kMaxImageChannels) numbers->kept[numbers->count] = number;
    ++numbers->count;
    at = SkipSpace(at);
  }
  return *at == ']' && *SkipSpace(at + 1) == '\0';
}

Numbers ListOf(const Session& session, const char* key) {
  const char* text = Entry(session, key);
  Numbers numbers;
  if (!ReadList(text, &numbers)) {
    Fail("the model's %s is '%.40s', expected a list of numbers", key, text);
  }
  return numbers;
}

double Check(const char* key, const Number& number, const Limits& limits, bool whole) {
  if (number.value >= limits.low && number.value <= limits.high && (number.is_whole || !whole)) {
    return number.value;
  }
  Fail("the model's %s has %.*s, expected %s from %g to %g", key,
       number.length < 40 ? number.length : 40, number.text, whole ? "a whole number" : "a number",
       limits.low, limits.high);
}

void ReadSize(const Session& session, Preprocessing* read) {
  constexpr char kKey[] = "pqv.input_size";
  const Numbers size = ListOf(session, kKey);
  if (size.count != 3) Fail("the model's %s has %zu numbers, expected 3", kKey, size.count);
  const Number& channels = size.kept[0];
  if (!channels.is_whole || (channels.value != 1 && channels.value != 3)) {
    Fail("the model takes %.*s channels, expected 1 or 3 for images",
         channels.length < 40 ? channels.length : 40, channels.text);
  }
  read->channels = static_cast<size_t>(channels.value);
  read->height = static_cast<size_t>(Check(kKey, size.kept[1], kSide, true));
  read->width = static_cast<size_t>(Check(kKey, size.kept[2], kSide, true));
}

void ReadChannels(const Session& session, const char* key, const Limits& limits, size_t channels,
                  float* values) {
  const Numbers numbers = ListOf(session, key);
  if (numbers.count != channels) {
    Fail("the model's %s has %zu numbers, expected one for each of %zu channels", key,
         numbers.count, channels);
  }
  for (size_t c = 0; c < channels; ++c) {
    values[c] = static_cast<float>(Check(key, numbers.kept[c], limits, false));
  }
}

double ReadCrop(const Session& session, const Preprocessing& read) {
  constexpr char kKey[] = "pqv.crop_pct";
  const char* text = Entry(session, kKey);
  Number number;
  const char* end = ReadNumber(SkipSpace(text), &number);
  if (end == nullptr || *SkipSpace(end) != '\0') {
    Fail("the model's %s is '%.40s', expected a number", kKey, text);
  }
  const double crop = Check(kKey, number, kCrop, false);
  if (static_cast<double>(read.height < read.width ? read.height : read.width) < crop) {
    Fail("the model's %s is %g, expected at most the shorter side", kKey, crop);
  }
  return crop;
}

Filter ReadFilter(const Session& session) {
  constexpr char kKey[] = "pqv.interpolation";
  const char* name = Entry(session, kKey);
  if (strcmp(name, "bilinear") == 0) return Filter::kBilinear;
  if (strcmp(name, "bicubic") == 0) return Filter::kBicubic;
  if (strcmp(name, "lanczos") == 0) return Filter::kLanczos;
  if (strcmp(name, "nearest") == 0) {
    Fail("the model asks for the interpolation nearest, which pqv_run lacks: give .npy files");
  }
  Fail("the model's %s is '%.40s', expected nearest or bilinear or bicubic or lanczos", kKey, name);
}

// Which of some values an entry has.
template <size_t kCount>
size_t Choose(const Session& session, const char* key, const char* const (&allowed)[kCount]) {
  const char* value = Entry(session, key);
  char words[80] = "";
  for (size_t i = 0; i < kCount; ++i) {
    if (strcmp(value, allowed[i]) == 0) return i;
    const size_t used = strlen(words);
    snprintf(words + used, sizeof(words) - used, i == 0 ? "%s" : " or %s", allowed[i]);
  }
  Fail("the model's %s is '%.40s', expected %s", key, value, words);
}

bool Fits(const Preprocessing& read, const Port& input) {
  if (read.kind == InputKind::kImage) {
    return input.shape.size() == 3 && input.shape[2] == static_cast<int64_t>(read.channels) &&
           input.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
  }
  const size_t nchw[] = {1, read.channels, read.height, read.width};
  const size_t nhwc[] = {1, read.height, read.width, read.channels};
  const size_t* shape = read.is_nhwc ? nhwc : nchw;
  if (input.shape.size() != 4) return false;
  for (size_t i = 0; i < 4; ++i) {
    if (input.shape[i] != static_cast<int64_t>(shape[i])) return false;
  }
  return input.type == (read.kind == InputKind::kUint8 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
                                                       : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

// Whether images take the model's proportions; files of earlier versions do not say so.
bool ReadSquashes(const Session& session) {
  constexpr char kKey[] = "pqv.crop_mode";
  return session.Metadata(kKey) != nullptr && Choose(session, kKey, {"center", "squash"}) == 1;
}

// What the model takes, and in which order of the axes.
void ReadInputKind(const Session& session, Preprocessing* read) {
  constexpr char kLayout[] = "pqv.layout";
  read->kind = static_cast<InputKind>(Choose(session, "pqv.input", {"float", "uint8", "image"}));
  switch (read->kind) {
    case InputKind::kFloat:
      Choose(session, kLayout, {"nchw"});
      return;
    case InputKind::kUint8:
      read->is_nhwc = Choose(session, kLayout, {"nchw", "nhwc"}) == 1;
      return;
    case InputKind::kImage:
      Choose(session, kLayout, {"hwc"});
      return;
  }
}

}  // namespace

bool TakesImage(const Session& session) {
  const char* input = session.Metadata("pqv.input");
  return input != nullptr && strcmp(input, "image") == 0;
}

Preprocessing ReadPreprocessing(const Session& session) {
  Preprocessing read = {};
  ReadSize(session, &read);
  ReadChannels(session, "pqv.mean", kMean, read.channels, read.mean);
  ReadChannels(session, "pqv.std", kStd, read.channels, read.std);
  read.crop = ReadCrop(session, read);
  read.filter = ReadFilter(session);
  read.squashes = ReadSquashes(session);
  ReadInputKind(session, &read);
  if (!Fits(read, session.input())) {
    Fail("the model's metadata does not fit its input: give .npy or .raw files");
  }
  return read;
}

}  // namespace pqv
