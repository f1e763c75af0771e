#ifndef PQV_NONDK_INTTYPES_H_
#define PQV_NONDK_INTTYPES_H_

#include <stdint.h>

#define PRId64 "ld"
#define PRIu64 "lu"

#endif  // PQV_NONDK_INTTYPES_H_
