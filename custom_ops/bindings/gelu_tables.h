// The tables of an IntGELU, by itself or behind a matmul.

#ifndef PQV_BINDINGS_GELU_TABLES_H_
#define PQV_BINDINGS_GELU_TABLES_H_

#include "bindings/node_reader.h"
#include "kernels/gelu/gelu.h"

namespace pqv {

// The constant input `table`, [groups, kGeluTableSize].
static inline OrtStatus* ReadGeluTables(const NodeReader& reader, const int8_t** entries,
                                        size_t* groups) {
  Shape shape = {};
  PQV_RETURN_IF_ERROR(reader.ConstantShape("table", &shape));
  if (shape.dims[0] == 0) shape.dims[0] = 1;  // what is refused for it
  shape.dims[1] = kGeluTableSize;
  *groups = static_cast<size_t>(shape.dims[0]);
  return reader.Constant("table", shape, entries);
}

}  // namespace pqv

#endif  // PQV_BINDINGS_GELU_TABLES_H_
