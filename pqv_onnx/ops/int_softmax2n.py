"""IntSoftmax2n, IntSoftmax2nBias: the unnormalised base-2 softmax (PackQViT, section 3.2)."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT16, INT32, UINT8, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import (
    MulQ15,
    Requantize,
    Sat16,
    math,
    mul_q15,
    pqv,
    requantize,
    sat16,
    scalar,
    vector,
)
from pqv_onnx.ops.domain import MAX_MULTIPLIER, MAX_SHIFT, MIN_SHIFT
from pqv_onnx.ops.torch_op import check_range, torch_op


@script(math, default_opset=op)
def PowersOfTwo(d: INT32) -> UINT8:
    """2^(7 - c) for c = round(d / 2^8), 0 from c = 8 on."""
    rounded = op.Add(d, op.Constant(value=scalar(128)))
    c = op.Div(rounded, op.Constant(value=scalar(256)))  # d >= 0, so Div rounds down
    c = op.Min(c, op.Constant(value=scalar(8)))
    top = op.Constant(value=scalar(128, onnx.TensorProto.UINT8))
    return op.BitShift(top, op.Cast(c, to=onnx.TensorProto.UINT8), direction="RIGHT")


@script(math, default_opset=op)
def Exp2(d: INT32) -> UINT8:
    """255 * 2^(-d / 2^8): a polynomial for the fraction, a power of two for the rest."""
    unit = op.Constant(value=scalar(256))
    i = op.Div(d, unit)  # d >= 0, so Div rounds down
    x = op.Mul(op.Sub(d, op.Mul(i, unit)), op.Constant(value=scalar(128)))
    inner = op.Sub(op.Constant(value=scalar(21920)), MulQ15(x, op.Constant(value=scalar(5600))))
    fraction = op.Sub(op.Constant(value=scalar(32640)), MulQ15(x, inner))
    octave = op.Cast(op.Min(i, op.Constant(value=scalar(9))), to=onnx.TensorProto.UINT32)
    top = op.Constant(value=scalar(256, onnx.TensorProto.UINT32))
    power = op.Cast(op.BitShift(top, octave, direction="RIGHT"), to=onnx.TensorProto.INT32)
    return op.Cast(MulQ15(fraction, power), to=onnx.TensorProto.UINT8)


@script(math, default_opset=op)
def Logits(X: INT32, shift: int, multiplier: int) -> INT32:
    """X in log2 units with 8 fraction bits."""
    wide_shift = op.Cast(op.Constant(value_int=shift), to=onnx.TensorProto.INT32)
    wide_multiplier = op.Cast(op.Constant(value_int=multiplier), to=onnx.TensorProto.INT32)
    return Requantize(X, wide_shift, wide_multiplier)


@script(math, default_opset=op)
def SoftmaxWeights(z: INT32, log2: int) -> UINT8:
    """2^(z - max of the row), as powers of two or uniform."""
    d = op.Sub(op.ReduceMax(z, op.Constant(value=vector([-1])), keepdims=1), z)
    if op.Cast(op.Constant(value_int=log2), to=onnx.TensorProto.BOOL):
        Y = PowersOfTwo(d)
    else:
        Y = Exp2(d)
    return Y


@script(pqv, default_opset=op)
def IntSoftmax2n(X: INT32, shift: int, multiplier: int, log2: int) -> UINT8:
    """2^(z - max of the row)."""
    return SoftmaxWeights(Logits(X, shift=shift, multiplier=multiplier), log2=log2)


@script(pqv, default_opset=op)
def IntSoftmax2nBias(
    X: INT32, bias: INT16, mask: UINT8, shift: int, multiplier: int, log2: int
) -> UINT8:
    """2^(z + bias - max of the row) where the mask is 0, else 0."""
    wide_bias = op.Cast(bias, to=onnx.TensorProto.INT32)
    z = Sat16(op.Add(Logits(X, shift=shift, multiplier=multiplier), wide_bias))
    heads = op.Constant(value=vector([1]))
    excluded = op.Unsqueeze(op.Cast(mask, to=onnx.TensorProto.BOOL), heads)
    # The smallest z leaves the maximum alone.
    kept = op.Where(excluded, op.Constant(value=scalar(-(2**15))), z)
    none = op.Constant(value=scalar(0, onnx.TensorProto.UINT8))
    return op.Where(excluded, none, SoftmaxWeights(kept, log2=log2))


FUNCTIONS = {function.name: function for function in (PowersOfTwo, Exp2, Logits, SoftmaxWeights)}
"""The functions of ``pqv.math`` that only these ops use, by name."""


def _check(shift: int, multiplier: int, log2: int, **_: torch.Tensor) -> None:
    check_range("shift", shift, MIN_SHIFT, MAX_SHIFT)
    check_range("multiplier", multiplier, 1, MAX_MULTIPLIER)
    check_range("log2", log2, 0, 1)


@torch_op("IntSoftmax2n", _check)
def int_softmax2n(X: torch.Tensor, shift: int, multiplier: int, log2: int) -> torch.Tensor:
    """Base-2 softmax of int32 [..., N] in [-2^30, 2^30], without its division.

    Returns:
        uint8 [..., N]: 128 (log2 = 1) or 255 (log2 = 0) at the maximum of each row.
    """
    return _weights(requantize(X, X.new_tensor(shift), X.new_tensor(multiplier)), log2)


@torch_op("IntSoftmax2nBias", _check)
def int_softmax2n_bias(
    X: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor, shift: int, multiplier: int, log2: int
) -> torch.Tensor:
    """The same with a bias per head and a mask per window (Swin, section 3.2).

    Args:
        X: int32 [..., W, H, M, N] in [-2^30, 2^30].
        bias: int16 [H, M, N], log2 units with 8 fraction bits.
        mask: uint8 [W, M, N] or [1, M, N]; nonzero excludes a place.
        shift: of the requantization of X, in [-15, 30].
        multiplier: of the requantization of X, in [1, 32767].
        log2: 1 for powers of two, 0 for uniform.

    Returns:
        uint8 of X's shape: as ``int_softmax2n``, and 0 where excluded.
    """
    z = sat16(requantize(X, X.new_tensor(shift), X.new_tensor(multiplier)) + bias)
    excluded = (mask != 0).unsqueeze(-3)
    # The smallest z leaves the maximum alone.
    return _weights(z.masked_fill(excluded, -(2**15)), log2).masked_fill(excluded, 0)


def _weights(z: torch.Tensor, log2: int) -> torch.Tensor:
    if z.numel() == 0:
        return z.to(torch.uint8)
    d = z.amax(-1, keepdim=True) - z
    if log2:
        return (128 >> ((d + 128) >> 8).clamp(max=8)).to(torch.uint8)
    x = (d & 255) * 128
    fraction = 32640 - mul_q15(x, 21920 - mul_q15(x, 5600))
    return mul_q15(fraction, 256 >> (d >> 8).clamp(max=9)).to(torch.uint8)
