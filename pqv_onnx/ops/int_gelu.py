"""IntGELU: an activation as a table of its 256 values."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import pqv, scalar
from pqv_onnx.ops.torch_op import torch_op


@script(pqv, default_opset=op)
def IntGELU(X: INT8, table: INT8) -> INT8:
    """A function of each code by a table of its 256 values."""
    index = op.Add(op.Cast(X, to=onnx.TensorProto.INT32), op.Constant(value=scalar(128)))
    return op.Gather(table, index, axis=0)


@torch_op("IntGELU")
def int_gelu(X: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """``table[X + 128]``: int8 of any shape and int8 [256] to int8 of X's shape."""
    return table.take(X.to(torch.int64) + 128)
