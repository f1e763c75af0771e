// An op as onnxruntime sees it, and the glue between its C callbacks and a node class.
//
// A node class has
//   OrtStatus* Create(const NodeReader& reader, const Variant& variant);
//   OrtStatus* Run(const RunContext& context) const;
// Create validates and prepares everything that does not change from run to run; Run is called
// concurrently.

#ifndef PQV_BINDINGS_OP_DEFINITION_H_
#define PQV_BINDINGS_OP_DEFINITION_H_

#include <stdlib.h>

#include <new>

#include "bindings/node_reader.h"
#include "bindings/run_context.h"
#include "bindings/run_counters.h"
#include "bindings/tensor.h"
#include "kernels/variant.h"

namespace pqv {

struct OpDefinition {
  const OpDeclaration* declaration;
  OrtStatus* (*create)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                       void** node);
  OrtStatus* (*run)(void* node, OrtKernelContext* context);
  void (*destroy)(void* node);
};

// An op of one variant: what onnxruntime hands back to the callbacks.
struct RegisteredOp : OrtCustomOp {
  const OpDefinition* definition;
  size_t variant;  // index into kVariants
};

template <typename Node>
class NodeCallbacks {
 public:
  static OrtStatus* Create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                           void** out) {
    const RegisteredOp& registered = *static_cast<const RegisteredOp*>(op);
    const NodeReader reader(api, info, *registered.definition->declaration);
    void* memory = malloc(sizeof(Instance));
    if (memory == nullptr) return OutOfMemory(reader.id(), "the node");
    Instance* instance =
        new (memory) Instance{reader.id(), registered.definition, registered.variant, {}};
    OrtStatus* status = instance->node.Create(reader, kVariants[registered.variant]);
    if (status == nullptr) status = reader.CheckNoOtherAttribute();
    if (status != nullptr) {
      Destroy(instance);
      return status;
    }
    *out = instance;
    return nullptr;
  }

  static OrtStatus* Run(void* node, OrtKernelContext* context) {
    const Instance& instance = *static_cast<const Instance*>(node);
    const RunContext run(instance.id, *instance.definition->declaration, context);
    PQV_RETURN_IF_ERROR(instance.node.Run(run));
    CountRun(instance.variant);
    return nullptr;
  }

  static void Destroy(void* node) {
    if (node == nullptr) return;
    static_cast<Instance*>(node)->~Instance();
    free(node);
  }

 private:
  struct Instance {
    NodeId id;
    const OpDefinition* definition;
    size_t variant;
    Node node;
  };
};

// Defines the op that is declared under `name`; the rest is its node class.
#define PQV_DEFINE_OP(name, ...)                                                               \
  const OpDefinition k##name##Op = {&k##name##Declaration, NodeCallbacks<__VA_ARGS__>::Create, \
                                    NodeCallbacks<__VA_ARGS__>::Run,                           \
                                    NodeCallbacks<__VA_ARGS__>::Destroy}

}  // namespace pqv

#endif  // PQV_BINDINGS_OP_DEFINITION_H_
