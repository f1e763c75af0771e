"""IntMatMul: the product of two activations, queries times keys transposed."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, INT32, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import OffsetBinary, exact_matmul, pqv, scalar, vector
from pqv_onnx.ops.torch_op import torch_op


@script(pqv, default_opset=op)
def IntMatMul(A: INT8, B: INT8) -> INT32:
    """Queries times keys transposed, as logits."""
    # Transpose needs the rank, a function has none: all leading axes of B become one.
    leading = op.Shape(B, end=-2)
    last = op.Shape(B, start=-2)
    count = op.ReduceProd(op.Concat(op.Constant(value=vector([1])), leading, axis=0), keepdims=1)
    matrices = op.Reshape(B, op.Concat(count, last, axis=0), allowzero=1)
    swapped = op.Gather(last, op.Constant(value=vector([1, 0])))
    columns = op.Reshape(
        op.Transpose(matrices, perm=[0, 2, 1]), op.Concat(leading, swapped, axis=0), allowzero=1
    )
    zero = op.Constant(value=scalar(128, onnx.TensorProto.UINT8))
    return op.MatMulInteger(OffsetBinary(A), OffsetBinary(columns), zero, zero)


@torch_op("IntMatMul")
def int_matmul(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """``A · Bᵀ``: int8 [..., M, K] and [..., N, K] to int32 [..., M, N]."""
    return exact_matmul(A, B.transpose(-1, -2))
