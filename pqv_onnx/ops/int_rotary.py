"""IntRotary: rotary position embedding of queries and keys."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, INT16, INT32, INT64, script
from onnxscript import opset19 as op

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.arithmetic import (
    RequantizeNarrowTensor,
    math,
    narrow,
    pqv,
    requantize_tensor,
    scalar,
    vector,
)
from pqv_onnx.ops.torch_op import torch_op


@script(math, default_opset=op)
def RotationDistance(D: INT64, pairs: int) -> INT64:
    """How far the two elements are that turn together: 1 in pairs, else D / 2. D is int64 [1]."""
    one = op.Constant(value=vector([1]))
    half = op.Max(op.Div(D, op.Constant(value=vector([2]))), one)
    return op.Where(op.Cast(op.Constant(value_int=pairs), to=onnx.TensorProto.BOOL), one, half)


@script(math, default_opset=op)
def Rotated(x: INT32, distance: INT64) -> INT32:
    """(-second, first) of each two that turn together, over the last axis."""
    zero = op.Constant(value=scalar(0, onnx.TensorProto.INT64))
    one = op.Constant(value=scalar(1, onnx.TensorProto.INT64))
    two = op.Constant(value=scalar(2, onnx.TensorProto.INT64))
    index = op.Range(zero, op.Squeeze(op.Shape(x, start=-1)), one)
    # -1 for the first of two, 1 for the second.
    side = op.Sub(op.Mul(op.Mod(op.Div(index, distance), two), two), one)
    partner = op.Gather(x, op.Sub(index, op.Mul(distance, side)), axis=-1)
    return op.Mul(partner, op.Cast(side, to=onnx.TensorProto.INT32))


@script(pqv, default_opset=op)
def IntRotary(
    X: INT8, cos: INT16, sin: INT16, pairs: int, shift: int, multiplier: int, y_bits: int = 8
) -> INT8:
    """Rotary position embedding: each token turned by its angles."""
    x = op.Cast(X, to=onnx.TensorProto.INT32)
    rotated = Rotated(x, RotationDistance(op.Shape(X, start=-1), pairs=pairs))
    straight = op.Mul(x, op.Cast(cos, to=onnx.TensorProto.INT32))
    turned = op.Mul(rotated, op.Cast(sin, to=onnx.TensorProto.INT32))
    acc = op.Add(straight, turned)
    return RequantizeNarrowTensor(acc, shift=shift, multiplier=multiplier, y_bits=y_bits)


def _check(X: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, **_: int) -> None:
    if X.shape[-1] % 2:
        raise PqvError(f"D must be even, found {X.shape[-1]}")
    if cos.shape != sin.shape:
        raise PqvError(f"sin must have cos's shape {list(cos.shape)}, found {list(sin.shape)}")


@torch_op("IntRotary", _check)
def int_rotary(
    X: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    pairs: int,
    shift: int,
    multiplier: int,
    y_bits: int,
) -> torch.Tensor:
    """int8 [..., H, N, D] turned by int16 tables [H or 1, N or 1, D], to int8."""
    return narrow(rotary(X, cos, sin, pairs, shift, multiplier), y_bits)


def rotary(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, pairs: int, shift: int, multiplier: int
) -> torch.Tensor:
    """IntRotary before its narrowing.

    Args:
        x: integers in [-128, 127] of any dtype, [..., H, N, D].
        cos: integers in [-2^14, 2^14] of any dtype, [H or 1, N or 1, D]; 2^14 is 1.
        sin: the same.
        pairs: 1 if neighbours turn together, 0 if halves do.
        shift: in [-15, 30].
        multiplier: in [1, 32767].

    Returns:
        int32 like ``x`` with int16 values; 64 is one step of the output.
    """
    codes = x.to(torch.int32)
    acc = codes * cos.to(torch.int32) + rotated(codes, pairs) * sin.to(torch.int32)
    return requantize_tensor(acc, shift, multiplier)


def rotated(x: torch.Tensor, pairs: int) -> torch.Tensor:
    """``(-x1, x0, -x3, x2, ...)`` of x [..., D] in pairs, else ``(-second half, first half)``.

    Of numbers of any dtype, with gradients.
    """
    distance = 1 if pairs else max(x.shape[-1] // 2, 1)
    first, second = x.unflatten(-1, (x.shape[-1] // (2 * distance), 2, distance)).unbind(-2)
    return torch.stack((-second, first), -2).flatten(-3)
