"""IntWindowAttention: self-attention in (shifted) windows of an image of tokens (Swin)."""

from __future__ import annotations

import torch
from onnxscript import INT8, INT16, INT64, UINT8, script
from onnxscript import opset19 as op

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.arithmetic import math, pqv, scalar, vector
from pqv_onnx.ops.int_attention import check_heads
from pqv_onnx.ops.int_matmul import IntMatMul, int_matmul
from pqv_onnx.ops.int_softmax2n import IntSoftmax2nBias, int_softmax2n_bias
from pqv_onnx.ops.int_weighted_mean import IntWeightedMean, int_weighted_mean
from pqv_onnx.ops.torch_op import torch_op


@script(math, default_opset=op)
def RollRows(x: INT8, up: INT64) -> INT8:
    """x [images, H, W, C] moved up, around the border; up is int64 [1]."""
    zero = op.Constant(value=vector([0]))
    axis = op.Constant(value=vector([1]))
    end = op.Constant(value=vector([2**31]))
    return op.Concat(op.Slice(x, up, end, axis), op.Slice(x, zero, up, axis), axis=1)


@script(math, default_opset=op)
def RollColumns(x: INT8, left: INT64) -> INT8:
    """x [images, H, W, C] moved to the left, around the border; left is int64 [1]."""
    zero = op.Constant(value=vector([0]))
    axis = op.Constant(value=vector([2]))
    end = op.Constant(value=vector([2**31]))
    return op.Concat(op.Slice(x, left, end, axis), op.Slice(x, zero, left, axis), axis=2)


@script(pqv, default_opset=op)
def IntWindowAttention(
    QKV: INT8,
    bias: INT16,
    mask: UINT8,
    window_height: int,
    window_width: int,
    roll_height: int,
    roll_width: int,
    softmax_shift: int,
    softmax_multiplier: int,
    log2: int,
    mean_shift: int,
    mean_multiplier: int,
    y_bits: int = 8,
) -> INT8:
    """Attention within windows of an image, with a bias and a mask."""
    one = op.Constant(value=vector([1]))
    three = op.Constant(value=vector([3]))
    h = op.Reshape(op.Constant(value_int=window_height), one)
    w = op.Reshape(op.Constant(value_int=window_width), one)
    up = op.Reshape(op.Constant(value_int=roll_height), one)
    left = op.Reshape(op.Constant(value_int=roll_width), one)
    # Transpose needs the rank, a function has none: all leading axes become one.
    leading = op.Shape(QKV, end=-3)
    images = op.ReduceProd(op.Concat(one, leading, axis=0), keepdims=1)
    height = op.Shape(QKV, start=-3, end=-2)
    width = op.Shape(QKV, start=-2, end=-1)
    channels = op.Shape(QKV, start=-1)
    heads = op.Shape(bias, start=0, end=1)
    depth = op.Div(channels, op.Mul(three, heads))
    shape = op.Concat(images, height, width, channels, axis=0)
    x = RollColumns(RollRows(op.Reshape(QKV, shape, allowzero=1), up), left)
    down, across = op.Div(height, h), op.Div(width, w)
    split = op.Concat(images, down, h, across, w, three, heads, depth, axis=0)
    x = op.Transpose(op.Reshape(x, split, allowzero=1), perm=[5, 0, 1, 3, 6, 2, 4, 7])
    windows = op.Mul(down, across)
    parts_shape = op.Concat(three, images, windows, heads, op.Mul(h, w), depth, axis=0)
    parts = op.Reshape(x, parts_shape, allowzero=1)
    q = op.Gather(parts, op.Constant(value=scalar(0)))
    k = op.Gather(parts, op.Constant(value=scalar(1)))
    v = op.Gather(parts, op.Constant(value=scalar(2)))
    logits = IntMatMul(q, k)
    weights = IntSoftmax2nBias(
        logits, bias, mask, shift=softmax_shift, multiplier=softmax_multiplier, log2=log2
    )
    context = IntWeightedMean(
        weights, v, shift=mean_shift, multiplier=mean_multiplier, y_bits=y_bits
    )
    cut = op.Concat(images, down, across, heads, h, w, depth, axis=0)
    y = op.Transpose(op.Reshape(context, cut, allowzero=1), perm=[0, 1, 4, 2, 5, 3, 6])
    merged = op.Mul(heads, depth)
    y = op.Reshape(y, op.Concat(images, height, width, merged, axis=0), allowzero=1)
    y = RollColumns(RollRows(y, op.Sub(height, up)), op.Sub(width, left))
    return op.Reshape(y, op.Concat(leading, height, width, merged, axis=0), allowzero=1)


def _check(
    QKV: torch.Tensor,
    bias: torch.Tensor,
    mask: torch.Tensor,
    window_height: int,
    window_width: int,
    **_: int,
) -> None:
    heads, tokens = bias.shape[:2]
    if tokens != window_height * window_width:
        raise PqvError(
            f"T of bias must be window_height * window_width = {window_height * window_width}, "
            f"found {tokens}"
        )
    height, width, channels = QKV.shape[-3:]
    if height % window_height or width % window_width:
        raise PqvError(
            f"H and W must be multiples of the window, {window_height} x {window_width}, "
            f"found {height} x {width}"
        )
    windows = height // window_height * (width // window_width)
    if len(mask) not in (1, windows):
        raise PqvError(f"mask must have 1 window or {windows}, found {len(mask)}")
    check_heads(channels, heads)


@torch_op("IntWindowAttention", _check)
def int_window_attention(
    QKV: torch.Tensor,
    bias: torch.Tensor,
    mask: torch.Tensor,
    window_height: int,
    window_width: int,
    roll_height: int,
    roll_width: int,
    softmax_shift: int,
    softmax_multiplier: int,
    log2: int,
    mean_shift: int,
    mean_multiplier: int,
    y_bits: int,
) -> torch.Tensor:
    """Attention in windows of int8 [..., H, W, 3 * num_heads * d] (Swin, section 3.2).

    Args:
        QKV: int8; its last axis splits into Q, K, V; head; channel.
        bias: int16 [num_heads, T, T], T = window_height * window_width.
        mask: uint8 [windows or 1, T, T]; nonzero excludes a pair.
        window_height: tokens; divides H.
        window_width: tokens; divides W.
        roll_height: tokens by which the image moves up, around the border, before it is cut.
        roll_width: tokens by which it moves to the left.
        softmax_shift: shift of ``int_softmax2n_bias``.
        softmax_multiplier: multiplier of ``int_softmax2n_bias``.
        log2: 1 for powers of two, 0 for uniform.
        mean_shift: shift of ``int_weighted_mean``.
        mean_multiplier: multiplier of ``int_weighted_mean``.
        y_bits: 4 to 8.

    Returns:
        int8 [..., H, W, num_heads * d], tokens where they were, the heads side by side.
    """
    down, across = QKV.shape[-3] // window_height, QKV.shape[-2] // window_width
    images, heads = QKV.shape[:-3].numel(), bias.shape[0]
    depth = QKV.shape[-1] // (3 * heads)
    x = torch.roll(QKV, (-roll_height, -roll_width), (-3, -2))
    x = x.reshape(images, down, window_height, across, window_width, 3, heads, depth)
    parts = x.permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6).flatten(2, 3)
    weights = int_softmax2n_bias(
        int_matmul(parts[0], parts[1]), bias, mask, softmax_shift, softmax_multiplier, log2
    )
    context = int_weighted_mean(weights, parts[2], mean_shift, mean_multiplier, y_bits)
    y = context.unflatten(3, (window_height, window_width)).unflatten(1, (down, across))
    y = y.permute(0, 1, 4, 2, 5, 3, 6).reshape(*QKV.shape[:-1], heads * depth)
    return torch.roll(y, (roll_height, roll_width), (-3, -2))
