"""IntRMSNorm: IntLayerNorm without mean and bias; with weights 1/sqrt(C), L2 normalisation."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, INT16, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import RequantizeNarrow, narrow, pqv, requantize
from pqv_onnx.ops.int_layer_norm import (
    Normalize,
    ScaleChannels,
    SquareSum,
    norm_inputs,
    normalize,
)
from pqv_onnx.ops.torch_op import torch_op


@script(pqv, default_opset=op)
def IntRMSNorm(
    X: INT8,
    exponent: INT8,
    shift: INT8,
    multiplier: INT16,
    epsilon: int,
    y_bits: int = 8,
) -> INT8:
    """RMSNorm over the last axis, with an integer square root."""
    x = ScaleChannels(X, exponent)
    C = op.Shape(X, start=-1)
    V = op.Add(op.Mul(C, SquareSum(x)), op.Constant(value_int=epsilon))
    n = Normalize(op.Mul(x, op.Cast(C, to=onnx.TensorProto.INT32)), V)
    wide_shift = op.Cast(shift, to=onnx.TensorProto.INT32)
    wide_multiplier = op.Cast(multiplier, to=onnx.TensorProto.INT32)
    return RequantizeNarrow(n, wide_shift, wide_multiplier, y_bits=y_bits)


@torch_op("IntRMSNorm")
def int_rms_norm(
    X: torch.Tensor,
    exponent: torch.Tensor,
    shift: torch.Tensor,
    multiplier: torch.Tensor,
    epsilon: int,
    y_bits: int,
) -> torch.Tensor:
    """RMSNorm of int8 [..., C] whose channel c has the step s * 2^exponent[c], to int8."""
    return narrow(rms_norm(*norm_inputs(X, exponent, shift, multiplier), epsilon), y_bits)


def rms_norm(
    x: torch.Tensor, shift: torch.Tensor, multiplier: torch.Tensor, epsilon: int
) -> torch.Tensor:
    """IntRMSNorm before its narrowing.

    Args:
        x: int32 [..., C], the codes times 2^exponent.
        shift: int32 [C].
        multiplier: int32 [C].
        epsilon: in [0, 2^46].

    Returns:
        int32 with int16 values, like ``x``; 64 is one step of the output.
    """
    C = x.shape[-1]
    V = C * (x * x).sum(-1, keepdim=True) + epsilon
    return requantize(normalize(C * x, V), shift, multiplier)
