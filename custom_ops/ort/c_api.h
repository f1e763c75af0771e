// The part of the onnxruntime C ABI that this library uses, under the official names.
//
// onnxruntime's Python packages ship no C headers, and the ABI only ever grows at its end, so the
// slots below keep their place in every onnxruntime from 1.18 (API version 18) on. Configure with
// -DPQV_ORT_INCLUDE_DIR=<folder of onnxruntime_c_api.h> to build against the official header
// instead; that build also compares every offset used here with it (tests/custom_ops/abi_test.cc).

#ifndef PQV_ORT_C_API_H_
#define PQV_ORT_C_API_H_

#ifdef PQV_USE_OFFICIAL_ORT_HEADER
#include <onnxruntime_c_api.h>
#else
#include "ort/c_api_subset.h"
#endif

namespace pqv {

// The oldest API version that has all slots used here (KernelContext_ParallelFor among them).
constexpr unsigned kOrtApiVersion = 18;

}  // namespace pqv

#endif  // PQV_ORT_C_API_H_
