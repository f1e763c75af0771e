"""IntLayerNorm: LayerNorm over channels with power-of-two steps (PackQViT, section 3.3)."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, INT16, INT32, INT64, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import (
    BitLength,
    IntegerSqrt,
    Narrow,
    PowerOfTwo,
    Reciprocal,
    Requantize,
    RoundShiftSat16,
    RowSum,
    Sat16,
    bit_length,
    integer_sqrt,
    math,
    narrow,
    pqv,
    reciprocal,
    requantize,
    round_shift_sat16,
    sat16,
    scalar,
)
from pqv_onnx.ops.torch_op import torch_op

# --- what LayerNorm and RMSNorm share ---------------------------------------------------


@script(math, default_opset=op)
def ScaleChannels(X: INT8, exponent: INT8) -> INT32:
    """X * 2^exponent."""
    steps = PowerOfTwo(op.Cast(exponent, to=onnx.TensorProto.INT32))
    return op.Mul(op.Cast(X, to=onnx.TensorProto.INT32), steps)


@script(math, default_opset=op)
def SquareSum(x: INT32) -> INT64:
    """The sum of the squares of each row, [..., C] -> [..., 1]."""
    return RowSum(op.Cast(op.Mul(x, x), to=onnx.TensorProto.INT64))


@script(math, default_opset=op)
def Normalize(x: INT32, V: INT64) -> INT32:
    """x [..., C] divided by sqrt(V) [..., 1], which becomes 2^24."""
    # sqrt(1) is 1: the maximum may be taken before the root instead of after it.
    sigma = IntegerSqrt(op.Max(V, op.Constant(value=scalar(1, onnx.TensorProto.INT64))))
    e = BitLength(sigma)
    t = RoundShiftSat16(x, op.Sub(e, op.Constant(value=scalar(10))))
    return op.Mul(t, Reciprocal(sigma, e))


def normalize(x: torch.Tensor, V: torch.Tensor) -> torch.Tensor:
    """x divided by sqrt(V), which becomes 2^24.

    Args:
        x: int32 [..., C], C times the values of a row.
        V: int64 [..., 1], C^2 times the mean of their squares, in [0, 2^48).

    Returns:
        int32 [..., C], ``t * reciprocal(sigma, e)``, in [-2^30, 2^30].
    """
    sigma = integer_sqrt(V).clamp(min=1)
    e = bit_length(sigma)
    return round_shift_sat16(x, e - 10).mul_(reciprocal(sigma, e))


# --- IntLayerNorm -----------------------------------------------------------------------


@script(pqv, default_opset=op)
def IntLayerNorm(
    X: INT8,
    exponent: INT8,
    shift: INT8,
    multiplier: INT16,
    bias: INT16,
    epsilon: int,
    y_bits: int = 8,
) -> INT8:
    """LayerNorm over the last axis, with an integer square root."""
    x = ScaleChannels(X, exponent)
    C = op.Shape(X, start=-1)
    S = RowSum(op.Cast(x, to=onnx.TensorProto.INT64))
    spread = op.Sub(op.Mul(C, SquareSum(x)), op.Mul(S, S))
    V = op.Add(spread, op.Constant(value_int=epsilon))
    S_narrow = op.Cast(S, to=onnx.TensorProto.INT32)
    centred = op.Sub(op.Mul(x, op.Cast(C, to=onnx.TensorProto.INT32)), S_narrow)
    n = Normalize(centred, V)
    wide_shift = op.Cast(shift, to=onnx.TensorProto.INT32)
    u = Requantize(n, wide_shift, op.Cast(multiplier, to=onnx.TensorProto.INT32))
    biased = op.Add(u, op.Cast(bias, to=onnx.TensorProto.INT32))
    return Narrow(Sat16(biased), y_bits=y_bits)


@torch_op("IntLayerNorm")
def int_layer_norm(
    X: torch.Tensor,
    exponent: torch.Tensor,
    shift: torch.Tensor,
    multiplier: torch.Tensor,
    bias: torch.Tensor,
    epsilon: int,
    y_bits: int,
) -> torch.Tensor:
    """LayerNorm of int8 [..., C] whose channel c has the step s * 2^exponent[c], to int8."""
    inputs = norm_inputs(X, exponent, shift, multiplier)
    return narrow(layer_norm(*inputs, bias.to(torch.int32), epsilon), y_bits)


def norm_inputs(
    X: torch.Tensor, exponent: torch.Tensor, shift: torch.Tensor, multiplier: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``X * 2^exponent``, shift and multiplier as int32."""
    x = X.to(torch.int32) << exponent.to(torch.int32)
    return x, shift.to(torch.int32), multiplier.to(torch.int32)


def layer_norm(
    x: torch.Tensor,
    shift: torch.Tensor,
    multiplier: torch.Tensor,
    bias: torch.Tensor,
    epsilon: int,
) -> torch.Tensor:
    """IntLayerNorm before its narrowing.

    Args:
        x: int32 [..., C], the codes times 2^exponent.
        shift: int32 [C].
        multiplier: int32 [C].
        bias: int32 [C].
        epsilon: in [0, 2^46].

    Returns:
        int32 with int16 values, like ``x``; 64 is one step of the output.
    """
    C = x.shape[-1]
    S = x.sum(-1, keepdim=True)
    V = C * (x * x).sum(-1, keepdim=True) - S * S + epsilon
    n = normalize((C * x).sub_(S.to(torch.int32)), V)
    return sat16(requantize(n, shift, multiplier).add_(bias))
