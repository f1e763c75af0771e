// The one list of kernel variants. Registration, dispatch and tests read it.

#ifndef PQV_KERNELS_VARIANT_H_
#define PQV_KERNELS_VARIANT_H_

#include "kernels/add/add.h"
#include "kernels/attention/attention.h"
#include "kernels/gate/gate.h"
#include "kernels/gelu/gelu.h"
#include "kernels/int_matmul/int_matmul.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/packed_matmul/packed_matmul.h"
#include "kernels/rotary/rotary.h"
#include "kernels/softmax2n/softmax2n.h"
#include "kernels/weighted_mean/weighted_mean.h"

namespace pqv {

// All kernels of one instruction set. Two variants give the same bits for every valid input.
struct Variant {
  const char* name;
  bool (*supported)();  // by this processor and operating system
  const PackedMatMulKernel* packed_int4_matmul;
  const PackedMatMulKernel* packed_int8_matmul;
  void (*int_matmul)(const IntMatMul& op);
  void (*softmax2n)(const Softmax2n& op, const SoftmaxRows<int32_t>& rows);
  void (*softmax2n_bias)(const Softmax2n& op, const int32_t* x, const int16_t* bias,
                         const uint8_t* mask, size_t rows, size_t n, uint8_t* y);
  void (*weighted_mean)(const WeightedMean& op);
  const AttentionKernel* attention;
  void (*norm)(const LayerNorm& op, const int8_t* x, size_t rows, int8_t* y);
  GeluKernel gelu;
  void (*add)(const IntAdd& op, const AddRows& rows);
  void (*rotary)(const Rotary& op, const RotaryRows& rows);
  void (*gate)(const Gate& op, const int8_t* a, const int8_t* b, size_t count, int8_t* y);
};

constexpr size_t kMaxVariants = 16;  // sizes tables that have an entry per variant

// The compiled-in variants, the preferred one first; scalar, which runs anywhere, last.
extern const Variant kVariants[];
extern const size_t kVariantCount;

}  // namespace pqv

#endif  // PQV_KERNELS_VARIANT_H_
