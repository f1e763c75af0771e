// The ops of the domains pqv and pqv.library.

#ifndef PQV_BINDINGS_OPS_H_
#define PQV_BINDINGS_OPS_H_

#include "bindings/op_definition.h"

namespace pqv {

constexpr char kDomain[] = "pqv";
constexpr int kDomainVersion = 1;
constexpr char kLibraryDomain[] = "pqv.library";

constexpr ONNXTensorElementDataType kInt8 = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
constexpr ONNXTensorElementDataType kUint8 = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
constexpr ONNXTensorElementDataType kInt16 = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16;
constexpr ONNXTensorElementDataType kInt32 = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;

extern const OpDefinition kPackedInt4MatMulOp;
extern const OpDefinition kPackedInt4MatMulAddOp;
extern const OpDefinition kPackedInt4MatMulGeluOp;
extern const OpDefinition kPackedInt8MatMulOp;
extern const OpDefinition kPackedInt8MatMulAddOp;
extern const OpDefinition kPackedInt8MatMulGeluOp;
extern const OpDefinition kPackedInt8MatMulToInt32Op;
extern const OpDefinition kIntMatMulOp;
extern const OpDefinition kIntSoftmax2nOp;
extern const OpDefinition kIntSoftmax2nBiasOp;
extern const OpDefinition kIntWeightedMeanOp;
extern const OpDefinition kIntAttentionOp;
extern const OpDefinition kIntWindowAttentionOp;
extern const OpDefinition kIntLayerNormOp;
extern const OpDefinition kIntRmsNormOp;
extern const OpDefinition kIntGeluOp;
extern const OpDefinition kIntAddOp;
extern const OpDefinition kIntRotaryOp;
extern const OpDefinition kIntGateOp;
extern const OpDefinition kInfoOp;  // of the domain pqv.library

// A definition whose callbacks are those of `Node`.
#define PQV_OP_CALLBACKS(...)                                          \
  NodeCallbacks<__VA_ARGS__>::Create, NodeCallbacks<__VA_ARGS__>::Run, \
      NodeCallbacks<__VA_ARGS__>::Destroy

}  // namespace pqv

#endif  // PQV_BINDINGS_OPS_H_
