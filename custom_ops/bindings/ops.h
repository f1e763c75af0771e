// The ops of the domains pqv and pqv.library.

#ifndef PQV_BINDINGS_OPS_H_
#define PQV_BINDINGS_OPS_H_

#include "bindings/declarations.h"

namespace pqv {

constexpr char kLibraryDomain[] = "pqv.library";
extern const OpDefinition kInfoOp;  // of that domain

}  // namespace pqv

#endif  // PQV_BINDINGS_OPS_H_
