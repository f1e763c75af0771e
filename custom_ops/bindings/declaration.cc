#include "bindings/declaration.h"

#include <string.h>

namespace pqv {

const InputDeclaration* FindInput(const OpDeclaration& op, const char* name) {
  for (size_t i = 0; i < op.input_count; ++i) {
    if (strcmp(op.inputs[i].name, name) == 0) return &op.inputs[i];
  }
  return nullptr;
}

const AttributeDeclaration* FindAttribute(const OpDeclaration& op, const char* name) {
  for (size_t i = 0; i < op.attribute_count; ++i) {
    if (strcmp(op.attributes[i].name, name) == 0) return &op.attributes[i];
  }
  return nullptr;
}

}  // namespace pqv
