"""The shared arithmetic of ``docs/ops.md``, each formula in torch and as an ONNX function.

The ONNX functions live in the domain ``pqv.math``: the op library registers ``pqv`` only,
and the functions of that domain call these. They use int32 (int64 where a line says so) and
standard ops that every onnxruntime since 1.18 has kernels for on a CPU.
"""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, INT16, INT32, INT64, UINT8, script
from onnxscript import opset19 as op
from onnxscript.values import Opset

from pqv_onnx.ops.domain import DOMAIN, FRACTION_BITS, VERSION

pqv = Opset(DOMAIN, VERSION)
"""Where the ops' functions live."""
math = Opset(f"{DOMAIN}.math", VERSION)
"""Where the functions that they share live."""

_POWERS = [2**i for i in range(48)]


def scalar(value: int, dtype: int = onnx.TensorProto.INT32) -> onnx.TensorProto:
    """A constant of rank 0 for a function's body."""
    return onnx.helper.make_tensor("", dtype, (), [value])


def vector(values: list[int]) -> onnx.TensorProto:
    """An int64 constant of rank 1 for a function's body: axes, shapes, powers of two."""
    return onnx.helper.make_tensor("", onnx.TensorProto.INT64, (len(values),), values)


# --- powers of two and shifts -----------------------------------------------------------


@script(math, default_opset=op)
def PowerOfTwo(exponent: INT32) -> INT32:
    """2^exponent, for exponents in [0, 30]."""
    one = op.Constant(value=scalar(1, onnx.TensorProto.UINT32))
    power = op.BitShift(one, op.Cast(exponent, to=onnx.TensorProto.UINT32), direction="LEFT")
    return op.Cast(power, to=onnx.TensorProto.INT32)


@script(math, default_opset=op)
def ShiftRight(x: INT32, power: INT32) -> INT32:
    """x / power rounded down, for a power of two: Div alone would round toward zero."""
    remainder = op.BitwiseAnd(x, op.Sub(power, op.Constant(value=scalar(1))))
    return op.Div(op.Sub(x, remainder), power)


def sat16(x: torch.Tensor) -> torch.Tensor:
    """x clamped to the range of int16; dtype and shape unchanged."""
    return x.clamp(-(2**15), 2**15 - 1)


@script(math, default_opset=op)
def Sat16(x: INT32) -> INT32:
    """x clamped to the range of int16."""
    return op.Clip(x, op.Constant(value=scalar(-(2**15))), op.Constant(value=scalar(2**15 - 1)))


def round_shift_sat16(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """``sat16(round_shift(x, shift))`` without overflow.

    Args:
        x: int32, any shape, in [-2^30, 2^30].
        shift: int32, broadcast against x, in [-15, 30].

    Returns:
        int32 of the broadcast shape.
    """
    right, left = shift.clamp(min=0), (-shift).clamp(min=0)
    shifted = (x + ((1 << right) >> 1)).bitwise_right_shift_(right)
    # A shift to the left by nothing costs a pass over all elements.
    return sat16(sat16(shifted) << left) if bool(left.any()) else sat16(shifted)


@script(math, default_opset=op)
def RoundShiftSat16(x: INT32, shift: INT32) -> INT32:
    """sat16(round_shift(x, shift)); saturating before the left shift keeps it from overflow."""
    zero = op.Constant(value=scalar(0))
    right = PowerOfTwo(op.Max(shift, zero))
    left = PowerOfTwo(op.Max(op.Neg(shift), zero))
    half = op.Div(right, op.Constant(value=scalar(2)))
    return Sat16(op.Mul(Sat16(ShiftRight(op.Add(x, half), right)), left))


# --- multiplication, requantization, narrowing ------------------------------------------


def mul_q15(a: torch.Tensor, b: torch.Tensor | int) -> torch.Tensor:
    """``(a * b + 2^14) >> 15`` of int32 tensors with int16 values."""
    return (a * b).add_(2**14).bitwise_right_shift_(15)


@script(math, default_opset=op)
def MulQ15(a: INT32, b: INT32) -> INT32:
    """(a * b + 2^14) >> 15."""
    rounded = op.Add(op.Mul(a, b), op.Constant(value=scalar(2**14)))
    return ShiftRight(rounded, op.Constant(value=scalar(2**15)))


def requantize(acc: torch.Tensor, shift: torch.Tensor, multiplier: torch.Tensor) -> torch.Tensor:
    """Brings an accumulator to steps of the output with 6 fraction bits.

    Args:
        acc: int32, any shape, in [-2^30, 2^30].
        shift: int32, broadcast against acc, in [-15, 30].
        multiplier: int32, broadcast against acc, in [-32767, 32767].

    Returns:
        int32 with int16 values: ``mul_q15(sat16(round_shift(acc, shift)), multiplier)``.
    """
    return mul_q15(round_shift_sat16(acc, shift), multiplier)


@script(math, default_opset=op)
def Requantize(acc: INT32, shift: INT32, multiplier: INT32) -> INT32:
    """The accumulator in steps of the output, with 6 fraction bits."""
    return MulQ15(RoundShiftSat16(acc, shift), multiplier)


def residual_link(codes: torch.Tensor, multiplier: torch.Tensor) -> torch.Tensor:
    """``mul_q15(codes * 256, multiplier)``: codes of one step in 1/64 of another.

    Args:
        codes: integers in [-128, 127] of any dtype, [..., C].
        multiplier: int32 [C], in [0, 32767]; 2^13 times the ratio of the steps.

    Returns:
        int32 of codes' shape with int16 values.
    """
    return mul_q15(codes.to(torch.int32) * 256, multiplier)


@script(math, default_opset=op)
def ResidualLink(codes: INT8, multiplier: INT16) -> INT32:
    """MulQ15(codes * 256, multiplier)."""
    wide = op.Cast(codes, to=onnx.TensorProto.INT32)
    scaled = op.Mul(wide, op.Constant(value=scalar(256)))
    return MulQ15(scaled, op.Cast(multiplier, to=onnx.TensorProto.INT32))


def narrow(u: torch.Tensor, y_bits: int) -> torch.Tensor:
    """Rounds 6 fraction bits off and clamps to ``y_bits``.

    Args:
        u: int32 with int16 values, any shape.
        y_bits: 4 to 8.

    Returns:
        int8 of u's shape.
    """
    limit = 2 ** (y_bits - 1)
    rounded = (u + 2 ** (FRACTION_BITS - 1)) >> FRACTION_BITS
    return rounded.clamp(-limit, limit - 1).to(torch.int8)


@script(math, default_opset=op)
def ToInt8(y: INT32, y_bits: int) -> INT8:
    """y clamped to y_bits, two's complement."""
    one = op.Constant(value=scalar(1))
    bits = op.Cast(op.Constant(value_int=y_bits), to=onnx.TensorProto.INT32)
    limit = PowerOfTwo(op.Sub(bits, one))
    return op.Cast(op.Clip(y, op.Neg(limit), op.Sub(limit, one)), to=onnx.TensorProto.INT8)


@script(math, default_opset=op)
def Narrow(u: INT32, y_bits: int) -> INT8:
    """Rounds 6 fraction bits off and clamps to y_bits."""
    rounded = op.Add(u, op.Constant(value=scalar(2**5)))
    return ToInt8(ShiftRight(rounded, op.Constant(value=scalar(2**6))), y_bits=y_bits)


@script(math, default_opset=op)
def RequantizeNarrow(acc: INT32, shift: INT32, multiplier: INT32, y_bits: int) -> INT8:
    """Narrow(Requantize(acc, shift, multiplier)), its last two right shifts made one.

    (((p + 2^14) >> 15) + 2^5) >> 6 is (p + 2^14 + 2^20) >> 21 for every integer p, because
    rounding down twice is rounding down once.
    """
    product = op.Mul(RoundShiftSat16(acc, shift), multiplier)
    rounded = op.Add(product, op.Constant(value=scalar(2**14 + 2**20)))
    return ToInt8(ShiftRight(rounded, op.Constant(value=scalar(2**21))), y_bits=y_bits)


def requantize_tensor(acc: torch.Tensor, shift: int, multiplier: int) -> torch.Tensor:
    """``requantize`` with one shift and multiplier for all of ``acc``."""
    scale = torch.tensor([shift, multiplier], dtype=torch.int32, device=acc.device)
    return requantize(acc, scale[0], scale[1])


@script(math, default_opset=op)
def RequantizeNarrowTensor(acc: INT32, shift: int, multiplier: int, y_bits: int) -> INT8:
    """RequantizeNarrow with one shift and multiplier for all of acc."""
    wide_shift = op.Cast(op.Constant(value_int=shift), to=onnx.TensorProto.INT32)
    wide_multiplier = op.Cast(op.Constant(value_int=multiplier), to=onnx.TensorProto.INT32)
    return RequantizeNarrow(acc, wide_shift, wide_multiplier, y_bits=y_bits)


# --- bit length, reciprocal, square root ------------------------------------------------


def bit_length(x: torch.Tensor) -> torch.Tensor:
    """Number of bits of every x.

    Args:
        x: int64, any shape, in [0, 2^48).

    Returns:
        int32 of x's shape.
    """
    powers = torch.tensor(_POWERS, device=x.device)
    return (x.unsqueeze(-1) >= powers).sum(-1).to(torch.int32)


@script(math, default_opset=op)
def RowSum(x: INT64) -> INT64:
    """Sum over the last axis, [..., n] -> [..., 1], n >= 1.

    The slice is for tensors without elements: onnxruntime gives their sum the shape of x.
    """
    last = op.Constant(value=vector([-1]))
    start = op.Constant(value=vector([0]))
    return op.Slice(op.ReduceSum(x, last, keepdims=1), start, op.Constant(value=vector([1])), last)


@script(math, default_opset=op)
def BitLength(x: INT64) -> INT32:
    """Number of bits of x, int64 [..., 1] in [0, 2^48): how many powers of two it reaches."""
    powers = op.Constant(value=vector(_POWERS))
    reached = op.Cast(op.GreaterOrEqual(x, powers), to=onnx.TensorProto.INT64)
    return op.Cast(RowSum(reached), to=onnx.TensorProto.INT32)


def reciprocal(x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
    """``min(2^(e + 14) // x, 32767)``.

    Args:
        x: int64, any shape, in [1, 2^24).
        e: int32 of x's shape, the bit length of x.

    Returns:
        int32 of x's shape, in [16384, 32767].
    """
    quotient = (1 << (e.to(torch.int64) + 14)) // x
    return quotient.clamp(max=2**15 - 1).to(torch.int32)


@script(math, default_opset=op)
def Reciprocal(x: INT64, e: INT32) -> INT32:
    """min(2^(e + 14) / x, 32767); int64, because 2^(e + 14) reaches 2^38."""
    power = op.Cast(PowerOfTwo(e), to=onnx.TensorProto.INT64)
    scaled = op.Mul(power, op.Constant(value=scalar(2**14, onnx.TensorProto.INT64)))
    limit = op.Constant(value=scalar(2**15 - 1, onnx.TensorProto.INT64))
    return op.Cast(op.Min(op.Div(scaled, x), limit), to=onnx.TensorProto.INT32)


def integer_sqrt(x: torch.Tensor) -> torch.Tensor:
    """The largest integer whose square is at most x.

    Args:
        x: int64, any shape, in [0, 2^48).

    Returns:
        int64 of x's shape.
    """
    # Below 2^53, float64 holds x, and its root is off by less than one: one step mends it.
    root = x.to(torch.float64).sqrt().to(torch.int64)
    root -= (root * root > x).to(torch.int64)
    return root + ((root + 1) * (root + 1) <= x).to(torch.int64)


@script(math, default_opset=op)
def NewtonStep(x: INT64, root: INT64) -> INT64:
    """One step of Newton's iteration for the square root of x, rounded down."""
    two = op.Constant(value=scalar(2, onnx.TensorProto.INT64))
    return op.Div(op.Add(root, op.Div(x, root)), two)


@script(math, default_opset=op)
def IntegerSqrt(x: INT64) -> INT64:
    """The largest integer whose square is at most x, int64 [..., 1] in [1, 2^48).

    The start is the smallest power of two with a square above x: a relative error of at most 1.
    A step turns a relative error of r into r^2 / (2 + 2 r): 1/4, 1/40, 3.1e-4, 4.7e-8, at
    a root below 2^24 less than 0.8. Rounded down, four steps thus end at the wanted
    integer or one above, and stay there; the comparison takes the one off.
    """
    half = op.Div(op.Add(BitLength(x), op.Constant(value=scalar(1))), op.Constant(value=scalar(2)))
    start = op.Cast(PowerOfTwo(half), to=onnx.TensorProto.INT64)
    root = NewtonStep(x, NewtonStep(x, NewtonStep(x, NewtonStep(x, start))))
    above = op.Cast(op.Greater(op.Mul(root, root), x), to=onnx.TensorProto.INT64)
    return op.Sub(root, above)


# --- products of int8 -------------------------------------------------------------------


def exact_matmul(a: torch.Tensor, b: torch.Tensor, largest: int = 2**15) -> torch.Tensor:
    """Matrix product of integers, in int32.

    Args:
        a: integers of any dtype, [..., M, K], K <= 32768.
        b: integers of any dtype, [..., K, N].
        largest: no product of two elements is larger; bytes, signed or not, keep the default.

    Returns:
        int32 [..., M, N].
    """
    # float32 adds integers up to 2^24 exactly, in any order and on any machine.
    parts = 2**24 // largest
    pairs = zip(a.float().split(parts, -1), b.float().split(parts, -2), strict=True)
    with torch.autocast(a.device.type, enabled=False):
        first, *others = (torch.matmul(x, y).to(torch.int32) for x, y in pairs)
    for other in others:
        first += other
    return first


@script(math, default_opset=op)
def OffsetBinary(x: INT8) -> UINT8:
    """x + 128, for MatMulInteger with a zero point of 128.

    Both of its operands are unsigned everywhere: onnxruntime's product of unsigned and
    signed bytes saturates to 16 bits in between on x86 machines with AVX2 but no VNNI.
    """
    wide = op.Cast(x, to=onnx.TensorProto.INT32)
    return op.Cast(op.Add(wide, op.Constant(value=scalar(128))), to=onnx.TensorProto.UINT8)
