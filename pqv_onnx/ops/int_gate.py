"""IntGate: the product of two activations, as in gated MLPs."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, INT32, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import RequantizeNarrowTensor, math, narrow, pqv, requantize_tensor
from pqv_onnx.ops.torch_op import torch_op


@script(math, default_opset=op)
def Centred(codes: INT8, zero_point: int) -> INT32:
    """codes - zero_point."""
    zero = op.Cast(op.Constant(value_int=zero_point), to=onnx.TensorProto.INT32)
    return op.Sub(op.Cast(codes, to=onnx.TensorProto.INT32), zero)


@script(pqv, default_opset=op)
def IntGate(
    A: INT8,
    B: INT8,
    a_zero_point: int,
    b_zero_point: int,
    shift: int,
    multiplier: int,
    y_bits: int = 8,
) -> INT8:
    """The product of two activations, requantized."""
    product = op.Mul(Centred(A, zero_point=a_zero_point), Centred(B, zero_point=b_zero_point))
    return RequantizeNarrowTensor(product, shift=shift, multiplier=multiplier, y_bits=y_bits)


@torch_op("IntGate")
def int_gate(
    A: torch.Tensor,
    B: torch.Tensor,
    a_zero_point: int,
    b_zero_point: int,
    shift: int,
    multiplier: int,
    y_bits: int,
) -> torch.Tensor:
    """Product of two int8 of any shape, the same, to int8 of that shape."""
    a, b = A.to(torch.int32) - a_zero_point, B.to(torch.int32) - b_zero_point
    return narrow(gate(a, b, shift, multiplier), y_bits)


def gate(a: torch.Tensor, b: torch.Tensor, shift: int, multiplier: int) -> torch.Tensor:
    """IntGate before its narrowing.

    Args:
        a: integers in [-255, 255] of any dtype and shape: codes less their zero point.
        b: the same, of a's shape.
        shift: in [-15, 30].
        multiplier: in [1, 32767].

    Returns:
        int32 of a's shape with int16 values; 64 is one step of the output.
    """
    product = a.to(torch.int32) * b.to(torch.int32)
    return requantize_tensor(product, shift, multiplier)
