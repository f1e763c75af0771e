"""IntAttention: all heads of self-attention, from the product that makes Q, K and V."""

from __future__ import annotations

import torch
from onnxscript import INT8, script
from onnxscript import opset19 as op

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.arithmetic import pqv, vector
from pqv_onnx.ops.domain import MAX_REDUCTION
from pqv_onnx.ops.int_matmul import IntMatMul, int_matmul
from pqv_onnx.ops.int_softmax2n import IntSoftmax2n, int_softmax2n
from pqv_onnx.ops.int_weighted_mean import IntWeightedMean, int_weighted_mean
from pqv_onnx.ops.shapes import check_value
from pqv_onnx.ops.torch_op import torch_op


@script(pqv, default_opset=op)
def IntAttention(
    QKV: INT8,
    num_heads: int,
    softmax_shift: int,
    softmax_multiplier: int,
    log2: int,
    mean_shift: int,
    mean_multiplier: int,
    y_bits: int = 8,
) -> INT8:
    """Attention of all heads: V weighted by the softmax of Q times K."""
    # Transpose needs the rank, a function has none: all leading axes become one.
    leading = op.Shape(QKV, end=-2)
    tokens = op.Shape(QKV, start=-2, end=-1)
    one = op.Constant(value=vector([1]))
    three = op.Constant(value=vector([3]))
    heads = op.Reshape(op.Constant(value_int=num_heads), one)
    width = op.Div(op.Shape(QKV, start=-1), three)
    images = op.ReduceProd(op.Concat(one, leading, axis=0), keepdims=1)
    split = op.Concat(images, tokens, three, heads, op.Div(width, heads), axis=0)
    parts = op.Transpose(op.Reshape(QKV, split, allowzero=1), perm=[2, 0, 3, 1, 4])
    axis = op.Constant(value=vector([0]))
    q = op.Squeeze(op.Gather(parts, op.Constant(value=vector([0]))), axis)
    k = op.Squeeze(op.Gather(parts, op.Constant(value=vector([1]))), axis)
    v = op.Squeeze(op.Gather(parts, op.Constant(value=vector([2]))), axis)
    weights = IntSoftmax2n(
        IntMatMul(q, k), shift=softmax_shift, multiplier=softmax_multiplier, log2=log2
    )
    context = IntWeightedMean(
        weights, v, shift=mean_shift, multiplier=mean_multiplier, y_bits=y_bits
    )
    merged = op.Transpose(context, perm=[0, 2, 1, 3])
    return op.Reshape(merged, op.Concat(leading, tokens, width, axis=0), allowzero=1)


def check_heads(channels: int, heads: int) -> None:
    """Raise PqvError unless queries, keys and values of so many heads make up the channels."""
    if heads == 0 or channels % (3 * heads) != 0:
        raise PqvError(f"C must be a multiple of 3 * num_heads = {3 * heads}, found {channels}")
    check_value("C / (3 * num_heads)", channels // (3 * heads), range(MAX_REDUCTION + 1))


def _check(QKV: torch.Tensor, num_heads: int, **_: int) -> None:
    check_heads(QKV.shape[-1], num_heads)


@torch_op("IntAttention", _check)
def int_attention(
    QKV: torch.Tensor,
    num_heads: int,
    softmax_shift: int,
    softmax_multiplier: int,
    log2: int,
    mean_shift: int,
    mean_multiplier: int,
    y_bits: int,
) -> torch.Tensor:
    """Multi-head self-attention of int8 [..., T, 3 * num_heads * d], the axes in that order.

    Returns:
        int8 [..., T, num_heads * d]: ``int_weighted_mean`` of the values by the
        ``int_softmax2n`` of the ``int_matmul`` of queries and keys, the heads side by side.
    """
    q, k, v = QKV.unflatten(-1, (3, num_heads, -1)).movedim(-3, 0).transpose(-2, -3)
    weights = int_softmax2n(int_matmul(q, k), softmax_shift, softmax_multiplier, log2)
    context = int_weighted_mean(weights, v, mean_shift, mean_multiplier, y_bits)
    return context.transpose(-2, -3).flatten(-2)
