// A plugin of qemu-aarch64 that counts how often each basic block of a program is executed.
//
//   cc -O2 -shared -fPIC block_count.c -o libblock_count.so
//   qemu-aarch64 -plugin ./libblock_count.so,out=FILE program ...
//
// FILE gets, for every region from "hint #0x7e" to "hint #0x7f" (processors ignore both), a line
// per block, "ADDRESS COUNT WORD...", all but COUNT in hexadecimal, and an empty line; a program
// without regions is one. The few instructions that share a block with a marker are not counted.
// The counts are exact for a program of one thread.
//
// qemu's packages come without the header of the plugin interface, whose used part (version 1) is
// declared here.

#include <inttypes.h>
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
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int, void*, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*, void (*)(unsigned, void*),
                                            int, void*);

#define PQV_EXPORT __attribute__((visibility("default")))
PQV_EXPORT int qemu_plugin_version = 1;

static const uint32_t kRegionBegin = 0xD5032FDF;
static const uint32_t kRegionEnd = 0xD5032FFF;

struct Block {
  struct Block* next;
  uint64_t address;
  uint64_t count;
  size_t size;
  uint32_t words[];
};

static struct Block* blocks;
static int has_regions;
static FILE* out;

static void OnBegin(unsigned cpu, void* data) {
  (void)cpu;
  (void)data;
  has_regions = 1;
  for (struct Block* block = blocks; block != NULL; block = block->next) block->count = 0;
}

static void Print(void) {
  for (const struct Block* block = blocks; block != NULL; block = block->next) {
    if (block->count == 0) continue;
    fprintf(out, "%" PRIx64 " %" PRIu64, block->address, block->count);
    for (size_t i = 0; i < block->size; ++i) fprintf(out, " %08" PRIx32, block->words[i]);
    fprintf(out, "\n");
  }
  fprintf(out, "\n");
}

static void OnEnd(unsigned cpu, void* data) {
  (void)cpu;
  (void)data;
  Print();
}

static void OnTranslation(PluginId id, struct qemu_plugin_tb* tb) {
  (void)id;
  const size_t size = qemu_plugin_tb_n_insns(tb);
  struct Block* block = malloc(sizeof(*block) + size * sizeof(block->words[0]));
  if (block == NULL) abort();
  *block = (struct Block){blocks, qemu_plugin_tb_vaddr(tb), 0, size};
  int is_marked = 0;
  for (size_t i = 0; i < size; ++i) {
    struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(tb, i);
    memcpy(&block->words[i], qemu_plugin_insn_data(instruction), sizeof(block->words[i]));
    const int begins = block->words[i] == kRegionBegin;
    if (!begins && block->words[i] != kRegionEnd) continue;
    is_marked = 1;
    qemu_plugin_register_vcpu_insn_exec_cb(instruction, begins ? OnBegin : OnEnd, kNoRegisterAccess,
                                           NULL);
  }
  if (is_marked) {
    free(block);
    return;
  }
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, kAddInline, &block->count, 1);
}

static void OnExit(PluginId id, void* data) {
  (void)id;
  (void)data;
  if (!has_regions) Print();
  fclose(out);
}

PQV_EXPORT int qemu_plugin_install(PluginId id, const void* info, int argc, char** argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
    fprintf(stderr, "block_count: expected one argument, out=FILE\n");
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
