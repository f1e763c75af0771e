// A plugin of qemu-aarch64 that counts the instructions a program executes, by class.
//
//   cc -O2 -shared -fPIC instruction_count.c -o libinstruction_count.so
//   qemu-aarch64 -plugin ./libinstruction_count.so,out=FILE program ...
//
// FILE gets a line of JSON per region, from "hint #0x7e" to "hint #0x7f" (processors ignore both),
// and one of the whole run at the end. The counts are exact for a program of one thread.
//
// qemu's packages come without the header of the plugin interface, whose used part (version 1) is
// declared here.

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t PluginId;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { kAddInline = 0 };         // QEMU_PLUGIN_INLINE_ADD_U64
enum { kNoRegisterAccess = 0 };  // QEMU_PLUGIN_CB_NO_REGS

void qemu_plugin_register_vcpu_tb_trans_cb(PluginId, void (*)(PluginId, struct qemu_plugin_tb*));
void qemu_plugin_register_atexit_cb(PluginId, void (*)(PluginId, void*), void*);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int, void*, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn*, int, void*, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*, void (*)(unsigned, void*),
                                            int, void*);

#define PQV_EXPORT __attribute__((visibility("default")))
PQV_EXPORT int qemu_plugin_version = 1;

enum Class { kDot, kMultiply, kVector, kVectorLoad, kVectorStore, kScalar, kClasses };
static const char* const kNames[kClasses] = {"dot",         "multiply",     "vector",
                                             "vector_load", "vector_store", "scalar"};
static const uint32_t kRegionBegin = 0xD5032FDF;
static const uint32_t kRegionEnd = 0xD5032FFF;

static uint64_t counts[kClasses];
static uint64_t at_begin[kClasses];
static FILE* out;

struct Encoding {
  uint32_t mask;
  uint32_t bits;
};

// Arm Architecture Reference Manual, "Advanced SIMD three-register extension", "vector x indexed
// element".
static const struct Encoding kDots[] = {
    {0x9FE0FC00, 0x0E809400},  // SDOT, UDOT
    {0xBFE0FC00, 0x0E809C00},  // USDOT
    {0x9FC0F400, 0x0F80E000},  // SDOT, UDOT by element
    {0xBFC0F400, 0x0F80F000},  // USDOT by element
    {0xBFC0F400, 0x0F00F000},  // SUDOT by element
    {0xDFE0FC00, 0x4E80A400},  // SMMLA, UMMLA
    {0xFFE0FC00, 0x4E80AC00},  // USMMLA
};

// Of integers; those that keep the high half are arithmetic like any other.
static const struct Encoding kMultiplies[] = {
    {0x9F20FC00, 0x0E209400},  // MLA, MLS
    {0x9F20FC00, 0x0E209C00},  // MUL, PMUL
    {0x9F20DC00, 0x0E208000},  // SMLAL, UMLAL, SMLSL, UMLSL
    {0x9F20FC00, 0x0E20C000},  // SMULL, UMULL
    {0x9F20BC00, 0x0E209000},  // SQDMLAL, SQDMLSL
    {0x9F20FC00, 0x0E20D000},  // SQDMULL
    {0xBF00B400, 0x2F000000},  // MLA, MLS by element
    {0xBF00F400, 0x0F008000},  // MUL by element
    {0x9F00B400, 0x0F002000},  // SMLAL, UMLAL, SMLSL, UMLSL by element
    {0x9F00F400, 0x0F00A000},  // SMULL, UMULL by element
};

static int Matches(uint32_t word, const struct Encoding* encodings, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if ((word & encodings[i].mask) == encodings[i].bits) return 1;
  }
  return 0;
}

#define PQV_MATCHES(word, encodings) \
  Matches(word, encodings, sizeof(encodings) / sizeof((encodings)[0]))

// Scalar floating point counts as vector: it is the same unit.
static enum Class Classify(uint32_t word) {
  const uint32_t group = word >> 25 & 15;
  if ((group & 5) == 4 && (word >> 26 & 1)) {  // loads and stores of vector registers
    const int is_literal = (word & 0x3B000000) == 0x18000000;
    return is_literal || (word >> 22 & 1) ? kVectorLoad : kVectorStore;
  }
  if ((group & 7) != 7) return kScalar;
  if (PQV_MATCHES(word, kDots)) return kDot;
  return PQV_MATCHES(word, kMultiplies) ? kMultiply : kVector;
}

static void Print(const uint64_t* since) {
  uint64_t total = 0;
  fprintf(out, "{");
  for (int i = 0; i < kClasses; ++i) {
    const uint64_t count = counts[i] - (since != NULL ? since[i] : 0);
    total += count;
    fprintf(out, "\"%s\": %llu, ", kNames[i], (unsigned long long)count);
  }
  fprintf(out, "\"total\": %llu}\n", (unsigned long long)total);
}

static void OnBegin(unsigned cpu, void* data) {
  (void)cpu;
  (void)data;
  memcpy(at_begin, counts, sizeof(counts));
}

static void OnEnd(unsigned cpu, void* data) {
  (void)cpu;
  (void)data;
  Print(at_begin);
}

static uint32_t Word(struct qemu_plugin_tb* block, size_t i) {
  uint32_t word = 0;
  memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof(word));
  return word;
}

static void CountEach(struct qemu_plugin_tb* block, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(block, i);
    const uint32_t word = Word(block, i);
    if (word == kRegionBegin || word == kRegionEnd) {
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, word == kRegionBegin ? OnBegin : OnEnd,
                                             kNoRegisterAccess, NULL);
    } else {
      qemu_plugin_register_vcpu_insn_exec_inline(instruction, kAddInline, &counts[Classify(word)],
                                                 1);
    }
  }
}

// Blocks are counted at once, where no region begins or ends within them.
static void OnTranslation(PluginId id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t size = qemu_plugin_tb_n_insns(block);
  uint64_t of_block[kClasses] = {0};
  for (size_t i = 0; i < size; ++i) {
    const uint32_t word = Word(block, i);
    if (word == kRegionBegin || word == kRegionEnd) {
      CountEach(block, size);
      return;
    }
    ++of_block[Classify(word)];
  }
  for (int i = 0; i < kClasses; ++i) {
    if (of_block[i] == 0) continue;
    qemu_plugin_register_vcpu_tb_exec_inline(block, kAddInline, &counts[i], of_block[i]);
  }
}

static void OnExit(PluginId id, void* data) {
  (void)id;
  (void)data;
  Print(NULL);
  fclose(out);
}

PQV_EXPORT int qemu_plugin_install(PluginId id, const void* info, int argc, char** argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
    fprintf(stderr, "instruction_count: expected one argument, out=FILE\n");
    return 1;
  }
  out = fopen(argv[0] + 4, "w");
  if (out == NULL) {
    perror(argv[0] + 4);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, OnTranslation);
  qemu_plugin_register_atexit_cb(id, OnExit, NULL);
  return 0;
}
