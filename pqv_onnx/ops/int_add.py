"""IntAdd: the residual link where no matmul is behind it."""

from __future__ import annotations

import torch
from onnxscript import INT8, INT16, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import Narrow, ResidualLink, Sat16, narrow, pqv, residual_link, sat16
from pqv_onnx.ops.torch_op import torch_op


@script(pqv, default_opset=op)
def IntAdd(A: INT8, B: INT8, a_multiplier: INT16, b_multiplier: INT16, y_bits: int = 8) -> INT8:
    """The sum of two tensors, each in steps of its own per channel."""
    total = op.Add(ResidualLink(A, a_multiplier), ResidualLink(B, b_multiplier))
    return Narrow(Sat16(total), y_bits=y_bits)


@torch_op("IntAdd")
def int_add(
    A: torch.Tensor,
    B: torch.Tensor,
    a_multiplier: torch.Tensor,
    b_multiplier: torch.Tensor,
    y_bits: int,
) -> torch.Tensor:
    """int8 [..., C] plus int8 of its shape, or with ones in leading places, to int8 [..., C]."""
    return narrow(add(A, B, a_multiplier.to(torch.int32), b_multiplier.to(torch.int32)), y_bits)


def add(
    a: torch.Tensor, b: torch.Tensor, a_multiplier: torch.Tensor, b_multiplier: torch.Tensor
) -> torch.Tensor:
    """IntAdd before its narrowing.

    Args:
        a: integers in [-128, 127] of any dtype, [..., C].
        b: the same, broadcast against a.
        a_multiplier: int32 [C], in [0, 32767].
        b_multiplier: int32 [C], in [0, 32767].

    Returns:
        int32 [..., C] with int16 values; 64 is one step of the output.
    """
    return sat16(residual_link(a, a_multiplier) + residual_link(b, b_multiplier))
