// Written by `python -m pqv_onnx.ops.declarations` after pqv_onnx/ops/domain.py; not to be edited.
// clang-format off

#ifndef PQV_KERNELS_COMMON_LIMITS_H_
#define PQV_KERNELS_COMMON_LIMITS_H_

#include <stddef.h>
#include <stdint.h>

namespace pqv {

constexpr size_t kMaxReduction = 32768;
constexpr size_t kMaxNormChannels = 8192;
constexpr size_t kMaxChannels = 16777216;
constexpr int kFractionBits = 6;
constexpr int kRotaryTableBits = 14;
constexpr int kMinShift = -15;
constexpr int kMaxShift = 30;
constexpr int kMaxMultiplier = 32767;
constexpr int kMaxBias = 536870912;
constexpr int64_t kMaxEpsilon = 70368744177664;

}  // namespace pqv

#endif  // PQV_KERNELS_COMMON_LIMITS_H_
