"""IntWeightedMean: attention weights times values, divided by the sum of the weights."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, UINT8, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import (
    BitLength,
    MulQ15,
    OffsetBinary,
    Reciprocal,
    RequantizeNarrow,
    bit_length,
    exact_matmul,
    mul_q15,
    narrow,
    pqv,
    reciprocal,
    requantize,
    scalar,
    vector,
)
from pqv_onnx.ops.torch_op import torch_op


@script(pqv, default_opset=op)
def IntWeightedMean(W: UINT8, V: INT8, shift: int, multiplier: int, y_bits: int = 8) -> INT8:
    """The mean of the values, weighted by attention and requantized."""
    w_zero = op.Constant(value=scalar(0, onnx.TensorProto.UINT8))
    v_zero = op.Constant(value=scalar(128, onnx.TensorProto.UINT8))
    acc = op.MatMulInteger(W, OffsetBinary(V), w_zero, v_zero)
    # The sum of a row is its product with ones: no wide copy of W.
    column = op.Concat(op.Shape(W, start=-1), op.Constant(value=vector([1])), axis=0)
    ones = op.Expand(op.Constant(value=scalar(1, onnx.TensorProto.UINT8)), column)
    total = op.MatMulInteger(W, ones, w_zero, w_zero)
    s = op.Cast(op.Max(total, op.Constant(value=scalar(1))), to=onnx.TensorProto.INT64)
    e = BitLength(s)
    wide_multiplier = op.Cast(op.Constant(value_int=multiplier), to=onnx.TensorProto.INT32)
    row_multiplier = MulQ15(wide_multiplier, Reciprocal(s, e))
    row_shift = op.Add(e, op.Cast(op.Constant(value_int=shift), to=onnx.TensorProto.INT32))
    return RequantizeNarrow(acc, row_shift, row_multiplier, y_bits=y_bits)


@torch_op("IntWeightedMean")
def int_weighted_mean(
    W: torch.Tensor, V: torch.Tensor, shift: int, multiplier: int, y_bits: int
) -> torch.Tensor:
    """``sum(W * V) / sum(W)``: uint8 [..., M, N] and int8 [..., N, D] to int8 [..., M, D]."""
    return narrow(weighted_mean(W, V, shift, multiplier), y_bits)


def weighted_mean(W: torch.Tensor, V: torch.Tensor, shift: int, multiplier: int) -> torch.Tensor:
    """IntWeightedMean before its narrowing.

    Args:
        W: integers in [0, 255] of any dtype, [..., M, N].
        V: integers in [-128, 127] of any dtype, [..., N, D].
        shift: in [-16, 7].
        multiplier: in [1, 32767].

    Returns:
        int32 [..., M, D] with int16 values; 64 is one step of the output.
    """
    s = W.sum(-1, keepdim=True, dtype=torch.int64).clamp(min=1)
    e = bit_length(s)
    row_multiplier = mul_q15(reciprocal(s, e), multiplier)
    return requantize(exact_matmul(W, V), e + shift, row_multiplier)
