// Written by `python -m pqv_onnx.ops.declarations` after pqv_onnx/ops/domain.py; not to be edited.
// clang-format off

#ifndef PQV_BINDINGS_DECLARATIONS_H_
#define PQV_BINDINGS_DECLARATIONS_H_

#include "bindings/op_definition.h"

namespace pqv {

constexpr char kDomain[] = "pqv";
constexpr int kDomainVersion = 1;

constexpr InputDeclaration kPackedInt4MatMulInputs[] = {
    {"A", kInt8, 1},
    {"B", kUint8, 3, 0, 255},
    {"bias", kInt32, 1, -536870912, 536870912},
    {"shift", kInt8, 1, -15, 30},
    {"multiplier", kInt16, 1, -32767, 32767},
};
constexpr AttributeDeclaration kPackedInt4MatMulAttributes[] = {
    {"layout", "n8k4.v1"},
    {"K", "", 1, 32768, nullptr, kRequired},
    {"N", "", 1, 16777216, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kPackedInt4MatMulDeclaration = {
    "PackedInt4MatMul", kInt8, kPackedInt4MatMulInputs, 5, kPackedInt4MatMulAttributes, 4};
extern const OpDefinition kPackedInt4MatMulOp;

constexpr InputDeclaration kPackedInt4MatMulAddInputs[] = {
    {"A", kInt8, 1},
    {"B", kUint8, 3, 0, 255},
    {"bias", kInt32, 1, -536870912, 536870912},
    {"shift", kInt8, 1, -15, 30},
    {"multiplier", kInt16, 1, -32767, 32767},
    {"residual", kInt8, 1},
    {"residual_multiplier", kInt16, 1, 0, 32767},
};
constexpr AttributeDeclaration kPackedInt4MatMulAddAttributes[] = {
    {"layout", "n8k4.v1"},
    {"K", "", 1, 32768, nullptr, kRequired},
    {"N", "", 1, 16777216, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kPackedInt4MatMulAddDeclaration = {
    "PackedInt4MatMulAdd", kInt8, kPackedInt4MatMulAddInputs, 7, kPackedInt4MatMulAddAttributes, 4};
extern const OpDefinition kPackedInt4MatMulAddOp;

constexpr InputDeclaration kPackedInt4MatMulGELUInputs[] = {
    {"A", kInt8, 1},
    {"B", kUint8, 3, 0, 255},
    {"bias", kInt32, 1, -536870912, 536870912},
    {"shift", kInt8, 1, -15, 30},
    {"multiplier", kInt16, 1, -32767, 32767},
    {"table", kInt8, 2, -128, 127},
};
constexpr AttributeDeclaration kPackedInt4MatMulGELUAttributes[] = {
    {"layout", "n8k4.v1"},
    {"K", "", 1, 32768, nullptr, kRequired},
    {"N", "", 1, 16777216, nullptr, kRequired},
};
constexpr OpDeclaration kPackedInt4MatMulGELUDeclaration = {
    "PackedInt4MatMulGELU", kInt8, kPackedInt4MatMulGELUInputs, 6, kPackedInt4MatMulGELUAttributes, 3};
extern const OpDefinition kPackedInt4MatMulGELUOp;

constexpr InputDeclaration kPackedInt8MatMulInputs[] = {
    {"A", kInt8, 1},
    {"B", kInt8, 3, -128, 127},
    {"bias", kInt32, 1, -536870912, 536870912},
    {"shift", kInt8, 1, -15, 30},
    {"multiplier", kInt16, 1, -32767, 32767},
};
constexpr AttributeDeclaration kPackedInt8MatMulAttributes[] = {
    {"layout", "n8k4.v1"},
    {"K", "", 1, 32768, nullptr, kRequired},
    {"N", "", 1, 16777216, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kPackedInt8MatMulDeclaration = {
    "PackedInt8MatMul", kInt8, kPackedInt8MatMulInputs, 5, kPackedInt8MatMulAttributes, 4};
extern const OpDefinition kPackedInt8MatMulOp;

constexpr InputDeclaration kPackedInt8MatMulAddInputs[] = {
    {"A", kInt8, 1},
    {"B", kInt8, 3, -128, 127},
    {"bias", kInt32, 1, -536870912, 536870912},
    {"shift", kInt8, 1, -15, 30},
    {"multiplier", kInt16, 1, -32767, 32767},
    {"residual", kInt8, 1},
    {"residual_multiplier", kInt16, 1, 0, 32767},
};
constexpr AttributeDeclaration kPackedInt8MatMulAddAttributes[] = {
    {"layout", "n8k4.v1"},
    {"K", "", 1, 32768, nullptr, kRequired},
    {"N", "", 1, 16777216, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kPackedInt8MatMulAddDeclaration = {
    "PackedInt8MatMulAdd", kInt8, kPackedInt8MatMulAddInputs, 7, kPackedInt8MatMulAddAttributes, 4};
extern const OpDefinition kPackedInt8MatMulAddOp;

constexpr InputDeclaration kPackedInt8MatMulGELUInputs[] = {
    {"A", kInt8, 1},
    {"B", kInt8, 3, -128, 127},
    {"bias", kInt32, 1, -536870912, 536870912},
    {"shift", kInt8, 1, -15, 30},
    {"multiplier", kInt16, 1, -32767, 32767},
    {"table", kInt8, 2, -128, 127},
};
constexpr AttributeDeclaration kPackedInt8MatMulGELUAttributes[] = {
    {"layout", "n8k4.v1"},
    {"K", "", 1, 32768, nullptr, kRequired},
    {"N", "", 1, 16777216, nullptr, kRequired},
};
constexpr OpDeclaration kPackedInt8MatMulGELUDeclaration = {
    "PackedInt8MatMulGELU", kInt8, kPackedInt8MatMulGELUInputs, 6, kPackedInt8MatMulGELUAttributes, 3};
extern const OpDefinition kPackedInt8MatMulGELUOp;

constexpr InputDeclaration kPackedInt8MatMulToInt32Inputs[] = {
    {"A", kInt8, 1},
    {"B", kInt8, 3, -128, 127},
    {"bias", kInt32, 1, -536870912, 536870912},
};
constexpr AttributeDeclaration kPackedInt8MatMulToInt32Attributes[] = {
    {"layout", "n8k4.v1"},
    {"K", "", 1, 32768, nullptr, kRequired},
    {"N", "", 1, 16777216, nullptr, kRequired},
};
constexpr OpDeclaration kPackedInt8MatMulToInt32Declaration = {
    "PackedInt8MatMulToInt32", kInt32, kPackedInt8MatMulToInt32Inputs, 3, kPackedInt8MatMulToInt32Attributes, 3};
extern const OpDefinition kPackedInt8MatMulToInt32Op;

constexpr InputDeclaration kIntMatMulInputs[] = {
    {"A", kInt8, 2},
    {"B", kInt8, 2},
};
constexpr OpDeclaration kIntMatMulDeclaration = {
    "IntMatMul", kInt32, kIntMatMulInputs, 2, nullptr, 0};
extern const OpDefinition kIntMatMulOp;

constexpr InputDeclaration kIntSoftmax2nInputs[] = {
    {"X", kInt32, 1},
};
constexpr AttributeDeclaration kIntSoftmax2nAttributes[] = {
    {"shift", "", -15, 30, nullptr, kRequired},
    {"multiplier", "", 1, 32767, nullptr, kRequired},
    {"log2", "", 0, 1, nullptr, kRequired},
};
constexpr OpDeclaration kIntSoftmax2nDeclaration = {
    "IntSoftmax2n", kUint8, kIntSoftmax2nInputs, 1, kIntSoftmax2nAttributes, 3};
extern const OpDefinition kIntSoftmax2nOp;

constexpr InputDeclaration kIntSoftmax2nBiasInputs[] = {
    {"X", kInt32, 4},
    {"bias", kInt16, 3, -32768, 32767},
    {"mask", kUint8, 3, 0, 255},
};
constexpr AttributeDeclaration kIntSoftmax2nBiasAttributes[] = {
    {"shift", "", -15, 30, nullptr, kRequired},
    {"multiplier", "", 1, 32767, nullptr, kRequired},
    {"log2", "", 0, 1, nullptr, kRequired},
};
constexpr OpDeclaration kIntSoftmax2nBiasDeclaration = {
    "IntSoftmax2nBias", kUint8, kIntSoftmax2nBiasInputs, 3, kIntSoftmax2nBiasAttributes, 3};
extern const OpDefinition kIntSoftmax2nBiasOp;

constexpr InputDeclaration kIntWeightedMeanInputs[] = {
    {"W", kUint8, 2},
    {"V", kInt8, 2},
};
constexpr AttributeDeclaration kIntWeightedMeanAttributes[] = {
    {"shift", "", -16, 7, nullptr, kRequired},
    {"multiplier", "", 1, 32767, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kIntWeightedMeanDeclaration = {
    "IntWeightedMean", kInt8, kIntWeightedMeanInputs, 2, kIntWeightedMeanAttributes, 3};
extern const OpDefinition kIntWeightedMeanOp;

constexpr InputDeclaration kIntAttentionInputs[] = {
    {"QKV", kInt8, 2},
};
constexpr AttributeDeclaration kIntAttentionAttributes[] = {
    {"num_heads", "", 1, 32768, nullptr, kRequired},
    {"softmax_shift", "", -15, 30, nullptr, kRequired},
    {"softmax_multiplier", "", 1, 32767, nullptr, kRequired},
    {"log2", "", 0, 1, nullptr, kRequired},
    {"mean_shift", "", -16, 7, nullptr, kRequired},
    {"mean_multiplier", "", 1, 32767, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kIntAttentionDeclaration = {
    "IntAttention", kInt8, kIntAttentionInputs, 1, kIntAttentionAttributes, 7};
extern const OpDefinition kIntAttentionOp;

constexpr InputDeclaration kIntWindowAttentionInputs[] = {
    {"QKV", kInt8, 3},
    {"bias", kInt16, 3, -32768, 32767},
    {"mask", kUint8, 3, 0, 255},
};
constexpr AttributeDeclaration kIntWindowAttentionAttributes[] = {
    {"window_height", "", 1, 32768, nullptr, kRequired},
    {"window_width", "", 1, 32768, nullptr, kRequired},
    {"roll_height", "", 0, 32767, "window_height", kRequired},
    {"roll_width", "", 0, 32767, "window_width", kRequired},
    {"softmax_shift", "", -15, 30, nullptr, kRequired},
    {"softmax_multiplier", "", 1, 32767, nullptr, kRequired},
    {"log2", "", 0, 1, nullptr, kRequired},
    {"mean_shift", "", -16, 7, nullptr, kRequired},
    {"mean_multiplier", "", 1, 32767, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kIntWindowAttentionDeclaration = {
    "IntWindowAttention", kInt8, kIntWindowAttentionInputs, 3, kIntWindowAttentionAttributes, 10};
extern const OpDefinition kIntWindowAttentionOp;

constexpr InputDeclaration kIntLayerNormInputs[] = {
    {"X", kInt8, 1},
    {"exponent", kInt8, 1, 0, 3},
    {"shift", kInt8, 1, -15, 30},
    {"multiplier", kInt16, 1, -32767, 32767},
    {"bias", kInt16, 1, -32768, 32767},
};
constexpr AttributeDeclaration kIntLayerNormAttributes[] = {
    {"epsilon", "", 0, 70368744177664, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kIntLayerNormDeclaration = {
    "IntLayerNorm", kInt8, kIntLayerNormInputs, 5, kIntLayerNormAttributes, 2};
extern const OpDefinition kIntLayerNormOp;

constexpr InputDeclaration kIntRMSNormInputs[] = {
    {"X", kInt8, 1},
    {"exponent", kInt8, 1, 0, 3},
    {"shift", kInt8, 1, -15, 30},
    {"multiplier", kInt16, 1, -32767, 32767},
};
constexpr AttributeDeclaration kIntRMSNormAttributes[] = {
    {"epsilon", "", 0, 70368744177664, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kIntRMSNormDeclaration = {
    "IntRMSNorm", kInt8, kIntRMSNormInputs, 4, kIntRMSNormAttributes, 2};
extern const OpDefinition kIntRMSNormOp;

constexpr InputDeclaration kIntGELUInputs[] = {
    {"X", kInt8, 1},
    {"table", kInt8, 2, -128, 127},
};
constexpr OpDeclaration kIntGELUDeclaration = {
    "IntGELU", kInt8, kIntGELUInputs, 2, nullptr, 0};
extern const OpDefinition kIntGELUOp;

constexpr InputDeclaration kIntAddInputs[] = {
    {"A", kInt8, 1},
    {"B", kInt8, 1},
    {"a_multiplier", kInt16, 1, 0, 32767},
    {"b_multiplier", kInt16, 1, 0, 32767},
};
constexpr AttributeDeclaration kIntAddAttributes[] = {
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kIntAddDeclaration = {
    "IntAdd", kInt8, kIntAddInputs, 4, kIntAddAttributes, 1};
extern const OpDefinition kIntAddOp;

constexpr InputDeclaration kIntRotaryInputs[] = {
    {"X", kInt8, 3},
    {"cos", kInt16, 3, -16384, 16384},
    {"sin", kInt16, 3, -16384, 16384},
};
constexpr AttributeDeclaration kIntRotaryAttributes[] = {
    {"pairs", "", 0, 1, nullptr, kRequired},
    {"shift", "", -15, 30, nullptr, kRequired},
    {"multiplier", "", 1, 32767, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kIntRotaryDeclaration = {
    "IntRotary", kInt8, kIntRotaryInputs, 3, kIntRotaryAttributes, 4};
extern const OpDefinition kIntRotaryOp;

constexpr InputDeclaration kIntGateInputs[] = {
    {"A", kInt8, 0},
    {"B", kInt8, 0},
};
constexpr AttributeDeclaration kIntGateAttributes[] = {
    {"a_zero_point", "", -128, 127, nullptr, kRequired},
    {"b_zero_point", "", -128, 127, nullptr, kRequired},
    {"shift", "", -15, 30, nullptr, kRequired},
    {"multiplier", "", 1, 32767, nullptr, kRequired},
    {"y_bits", "", 4, 8, nullptr, 8},
};
constexpr OpDeclaration kIntGateDeclaration = {
    "IntGate", kInt8, kIntGateInputs, 2, kIntGateAttributes, 5};
extern const OpDefinition kIntGateOp;

constexpr const char* kAttributeNames[] = {"K", "N", "a_zero_point", "b_zero_point", "epsilon", "layout", "log2", "mean_multiplier", "mean_shift", "multiplier", "num_heads", "pairs", "roll_height", "roll_width", "shift", "softmax_multiplier", "softmax_shift", "window_height", "window_width", "y_bits"};  // of all ops
constexpr const OpDefinition* kOps[] = {&kPackedInt4MatMulOp, &kPackedInt4MatMulAddOp, &kPackedInt4MatMulGELUOp, &kPackedInt8MatMulOp, &kPackedInt8MatMulAddOp, &kPackedInt8MatMulGELUOp, &kPackedInt8MatMulToInt32Op, &kIntMatMulOp, &kIntSoftmax2nOp, &kIntSoftmax2nBiasOp, &kIntWeightedMeanOp, &kIntAttentionOp, &kIntWindowAttentionOp, &kIntLayerNormOp, &kIntRMSNormOp, &kIntGELUOp, &kIntAddOp, &kIntRotaryOp, &kIntGateOp};

}  // namespace pqv

#endif  // PQV_BINDINGS_DECLARATIONS_H_
