"""IntGELU: an activation as tables of its 256 values."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, script
from onnxscript import opset19 as op

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.arithmetic import pqv, vector
from pqv_onnx.ops.torch_op import torch_op


@script(pqv, default_opset=op)
def IntGELU(X: INT8, table: INT8) -> INT8:
    """A function of each code, by a table of its 256 values for each group of channels."""
    groups = op.Shape(table, start=0, end=1)
    channels = op.Shape(X, start=-1)
    # Where the table of each channel begins: that of the first group at its code 0.
    begins = op.Mul(op.Range(0, op.Squeeze(groups), 1), op.Constant(value=vector([256])))
    first = op.Cast(op.Add(begins, op.Constant(value=vector([128]))), to=onnx.TensorProto.INT32)
    width = op.Concat(groups, op.Div(channels, groups), axis=0)
    offset = op.Expand(op.Unsqueeze(first, op.Constant(value=vector([1]))), width)
    flat = op.Constant(value=vector([-1]))
    index = op.Add(op.Cast(X, to=onnx.TensorProto.INT32), op.Reshape(offset, flat))
    return op.Gather(op.Reshape(table, flat), index, axis=0)


def check_groups(channels: int, groups: int) -> None:
    """Raise PqvError unless the channels can be cut into groups."""
    if groups < 1 or channels % groups:
        raise PqvError(f"table has {groups} tables, expected a divisor of {channels} channels")


def _check(X: torch.Tensor, table: torch.Tensor) -> None:
    check_groups(X.shape[-1], len(table))


@torch_op("IntGELU", _check)
def int_gelu(X: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Look up int8 [..., C] in int8 [G, 256].

    Returns:
        int8 [..., C]: ``table[c // (C / G), X + 128]`` in channel c.
    """
    begins = 256 * torch.arange(len(table), device=X.device) + 128
    offset = begins.repeat_interleave(X.shape[-1] // len(table))
    return table.take(X.to(torch.int64) + offset)
