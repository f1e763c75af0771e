"""IntSoftmax2n, IntSoftmax2nBias: the unnormalised base-2 softmax (PackQViT, section 3.2)."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT16, INT32, UINT8, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import MulQ15, PowerOfTwo, Sat16, ShiftRight, math, pqv, scalar, vector
from pqv_onnx.ops.torch_op import torch_op

_INT16_MAX = 2**15 - 1
_EXCLUDED = -(2**30)  # below every logit
_FAR = 2**17  # so far below the largest logit, no bias of int16 brings a place back


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
def ShiftedRight(X: INT32, shift: int) -> INT32:
    """round_shift(X, max(shift, 0))."""
    wide_shift = op.Cast(op.Constant(value_int=shift), to=onnx.TensorProto.INT32)
    power = PowerOfTwo(op.Max(wide_shift, op.Constant(value=scalar(0))))
    half = op.Div(power, op.Constant(value=scalar(2)))
    return ShiftRight(op.Add(X, half), power)


@script(math, default_opset=op)
def LeftPower(shift: int) -> INT32:
    """2^max(-shift, 0)."""
    left = op.Neg(op.Cast(op.Constant(value_int=shift), to=onnx.TensorProto.INT32))
    return PowerOfTwo(op.Max(left, op.Constant(value=scalar(0))))


@script(math, default_opset=op)
def RowMax(x: INT32) -> INT32:
    """The largest of each row, [..., n] -> [..., 1]."""
    return op.ReduceMax(x, op.Constant(value=vector([-1])), keepdims=1)


@script(math, default_opset=op)
def SoftmaxWeights(D: INT32, multiplier: int, log2: int) -> UINT8:
    """The weights of differences from the row's maximum, [0, 32767]."""
    wide_multiplier = op.Cast(op.Constant(value_int=multiplier), to=onnx.TensorProto.INT32)
    d = MulQ15(D, wide_multiplier)
    if op.Cast(op.Constant(value_int=log2), to=onnx.TensorProto.BOOL):
        Y = PowersOfTwo(d)
    else:
        Y = Exp2(d)
    return Y


@script(pqv, default_opset=op)
def IntSoftmax2n(X: INT32, shift: int, multiplier: int, log2: int) -> UINT8:
    """Attention weights of logits: 2 to their distance from the largest."""
    t = ShiftedRight(X, shift=shift)
    # Saturated first, the difference does not overflow.
    D = op.Mul(Sat16(op.Sub(RowMax(t), t)), LeftPower(shift=shift))
    return SoftmaxWeights(Sat16(D), multiplier=multiplier, log2=log2)


@script(pqv, default_opset=op)
def IntSoftmax2nBias(
    X: INT32, bias: INT16, mask: UINT8, shift: int, multiplier: int, log2: int
) -> UINT8:
    """Attention weights of logits plus a bias, 0 where masked."""
    heads = op.Constant(value=vector([1]))
    excluded = op.Unsqueeze(op.Cast(mask, to=onnx.TensorProto.BOOL), heads)
    shifted = ShiftedRight(X, shift=shift)
    kept = op.Where(excluded, op.Constant(value=scalar(-(2**30))), shifted)
    # Relative to the largest logit and cut off where no bias matters, t fits int32.
    power = LeftPower(shift=shift)
    lowest = op.Neg(op.Div(op.Constant(value=scalar(2**17)), power))
    relative = op.Mul(op.Max(op.Sub(kept, RowMax(kept)), lowest), power)
    t = op.Add(relative, op.Cast(bias, to=onnx.TensorProto.INT32))
    weights = SoftmaxWeights(Sat16(op.Sub(RowMax(t), t)), multiplier=multiplier, log2=log2)
    return op.Where(excluded, op.Constant(value=scalar(0, onnx.TensorProto.UINT8)), weights)


@torch_op("IntSoftmax2n")
def int_softmax2n(X: torch.Tensor, shift: int, multiplier: int, log2: int) -> torch.Tensor:
    """Base-2 softmax of int32 [..., N] in [-2^29, 2^29], without its division.

    Returns:
        uint8 [..., N]: 128 (log2 = 1) or 255 (log2 = 0) at the maximum of each row.
    """
    return softmax_weights(X, shift, multiplier, bool(log2))


@torch_op("IntSoftmax2nBias")
def int_softmax2n_bias(
    X: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor, shift: int, multiplier: int, log2: int
) -> torch.Tensor:
    """The same with a bias per head and a mask per window (Swin, section 3.2).

    Args:
        X: int32 [..., W, H, M, N] in [-2^29, 2^29].
        bias: int16 [H, M, N], in units of multiplier / 2^23 log2 units.
        mask: uint8 [W, M, N] or [1, M, N]; nonzero excludes a place.
        shift: of X, in [-15, 30].
        multiplier: of the differences, in [1, 32767].
        log2: 1 for powers of two, 0 for uniform.

    Returns:
        uint8 of X's shape: as ``int_softmax2n``, and 0 where excluded.
    """
    return softmax_weights(X, shift, multiplier, bool(log2), bias, (mask != 0).unsqueeze(-3))


def softmax_weights(
    X: torch.Tensor,
    shift: int | torch.Tensor,
    multiplier: int | torch.Tensor,
    log2: bool,
    bias: torch.Tensor | None = None,
    excluded: torch.Tensor | None = None,
) -> torch.Tensor:
    """The arithmetic of both ops, for training to call, too.

    Args:
        X: int32 [..., N] in [-2^29, 2^29], on any device.
        shift: an int or int32 [], in [-15, 30].
        multiplier: an int or int32 [], in [1, 32767].
        log2: powers of two, else uniform.
        bias: int16 or int32 with int16 values, broadcast against X, in units of
            multiplier / 2^23 log2 units; None is 0.
        excluded: bool, broadcast against X: places that have no weight; None is nowhere.

    Returns:
        uint8 of X's shape.
    """
    if X.numel() == 0:
        return X.to(torch.uint8)
    right, left = _halves(shift)
    t = X + ((1 << right) >> 1)
    t >>= right
    if excluded is not None:
        t.masked_fill_(excluded, _EXCLUDED)
    if bias is not None:
        # Relative to the largest logit and cut off where no bias matters, t fits int32.
        t -= t.amax(-1, keepdim=True)
        t = _shift_left(t.clamp_(min=-(_FAR >> left)), left)
        t += bias
        left = 0
    d = torch.sub(t.amax(-1, keepdim=True), t, out=t).clamp_(max=_INT16_MAX)
    d = _shift_left(d, left).clamp_(max=_INT16_MAX)
    d.mul_(multiplier).add_(2**14).bitwise_right_shift_(15)
    weights = _powers_of_two(d) if log2 else _exp2(d)
    return weights if excluded is None else weights.masked_fill_(excluded, 0)


def _halves(shift: int | torch.Tensor) -> tuple[int | torch.Tensor, int | torch.Tensor]:
    """What a shift moves to the right and to the left; one of the two is 0."""
    if isinstance(shift, torch.Tensor):
        return shift.clamp(min=0), (-shift).clamp(min=0)
    return max(shift, 0), max(-shift, 0)


def _shift_left(x: torch.Tensor, left: int | torch.Tensor) -> torch.Tensor:
    # By nothing, it is a pass over all elements that can be left out; a tensor is not asked.
    return x if isinstance(left, int) and left == 0 else x.bitwise_left_shift_(left)


def _powers_of_two(d: torch.Tensor) -> torch.Tensor:
    code = d.add_(128).bitwise_right_shift_(8).clamp_(max=8)
    return (128 >> code).to(torch.uint8)


def _exp2(d: torch.Tensor) -> torch.Tensor:
    """mul_q15(T, 256 >> i) as (T + (64 << i)) >> (7 + i), which is 0 from i = 9 on."""
    i = (d >> 8).clamp_(max=9)
    x = d.bitwise_and_(255).bitwise_left_shift_(7)
    curve = (x * 5600).add_(2**14).bitwise_right_shift_(15)
    slope = curve.neg_().add_(21920)
    T = slope.mul_(x).add_(2**14).bitwise_right_shift_(15).neg_().add_(32640)
    return T.add_(64 << i).bitwise_right_shift_(i.add_(7)).to(torch.uint8)
