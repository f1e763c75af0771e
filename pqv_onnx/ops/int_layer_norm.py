"""IntLayerNorm: LayerNorm over channels with power-of-two steps (PackQViT, section 3.3)."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, INT16, script
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
    narrow,
    pqv,
    reciprocal,
    requantize,
    round_shift_sat16,
    sat16,
    scalar,
)
from pqv_onnx.ops.domain import MAX_CHANNELS, MAX_EXPONENT, MAX_MULTIPLIER, MAX_SHIFT, MIN_SHIFT
from pqv_onnx.ops.torch_op import check_range, check_y_bits, torch_op


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
    """LayerNorm over the last axis."""
    steps = PowerOfTwo(op.Cast(exponent, to=onnx.TensorProto.INT32))
    x = op.Mul(op.Cast(X, to=onnx.TensorProto.INT32), steps)
    C = op.Shape(X, start=-1)
    S = RowSum(op.Cast(x, to=onnx.TensorProto.INT64))
    Q = RowSum(op.Cast(op.Mul(x, x), to=onnx.TensorProto.INT64))
    spread = op.Sub(op.Mul(C, Q), op.Mul(S, S))
    V = op.Add(spread, op.Constant(value_int=epsilon))
    # sqrt(1) is 1: the maximum may be taken before the root instead of after it.
    sigma = IntegerSqrt(op.Max(V, op.Constant(value=scalar(1, onnx.TensorProto.INT64))))
    e = BitLength(sigma)
    S_narrow = op.Cast(S, to=onnx.TensorProto.INT32)
    centred = op.Sub(op.Mul(x, op.Cast(C, to=onnx.TensorProto.INT32)), S_narrow)
    t = RoundShiftSat16(centred, op.Sub(e, op.Constant(value=scalar(10))))
    n = op.Mul(t, Reciprocal(sigma, e))
    wide_shift = op.Cast(shift, to=onnx.TensorProto.INT32)
    u = Requantize(n, wide_shift, op.Cast(multiplier, to=onnx.TensorProto.INT32))
    biased = op.Add(u, op.Cast(bias, to=onnx.TensorProto.INT32))
    return Narrow(Sat16(biased), y_bits=y_bits)


def _check(X: torch.Tensor, epsilon: int, y_bits: int, **_: torch.Tensor) -> None:
    check_range("C", X.shape[-1], 1, MAX_CHANNELS)
    check_range("epsilon", epsilon, 0, 2**46)
    check_y_bits(y_bits)


@torch_op("IntLayerNorm", _check)
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
    check_range("exponent", exponent, 0, MAX_EXPONENT)
    check_range("shift", shift, MIN_SHIFT, MAX_SHIFT)
    check_range("multiplier", multiplier, -MAX_MULTIPLIER, MAX_MULTIPLIER)
    x = X.to(torch.int32) << exponent.to(torch.int32)
    scale = shift.to(torch.int32), multiplier.to(torch.int32)
    return narrow(layer_norm(x, *scale, bias.to(torch.int32), epsilon), y_bits)


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
    sigma = integer_sqrt(V).clamp(min=1)
    e = bit_length(sigma)
    t = round_shift_sat16((C * x).sub_(S.to(torch.int32)), e - 10)
    n = t.mul_(reciprocal(sigma, e))
    return sat16(requantize(n, shift, multiplier).add_(bias))
