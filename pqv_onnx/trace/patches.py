"""Convolutions that are linear layers of patches: where patches touch, or of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pqv_onnx.trace.calls import Site
from pqv_onnx.trace.nodes import Input, Linear, Move, Node
from pqv_onnx.trace.streams import origin
from pqv_onnx.trace.values import Call, Operand, Shape, resolved

_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def convolution(site: Site) -> Node:
    """A linear layer of patches. Those of an image may overlap and have zeros around them."""
    bound = site.bind(*_NAMES)
    weight, x = bound["weight"], site.x
    if isinstance(weight, Node) or isinstance(bound.get("bias"), Node):
        site.refuse("a convolution with a computed weight or bias")
    kernel, stride = tuple(weight.shape[2:]), _pair(bound.get("stride", 1))
    given = bound.get("padding", 0)
    padding = (0, 0) if isinstance(given, str) else _pair(given)
    touch = kernel == stride and padding == (0, 0)
    plain = bound.get("groups", 1) == 1 and _pair(bound.get("dilation", 1)) == (1, 1)
    if not plain or given == "same" or not (touch or isinstance(origin(x), Input)):
        site.refuse(f"a convolution of kernel {kernel}, stride {stride}", "patches of an image")
    batch, channels, *counts = site.shape
    if any(padding):
        x = _padded(x, padding)
    for axis, size, step, count in zip(
        (2, 3), kernel, stride, resolved(tuple(counts)), strict=True
    ):
        x = _apart(x, axis, size, step, count)
    linear = Linear(site.path, (x,), (batch, *counts, channels), weight, bound.get("bias"), kernel)
    return _move(linear, site.shape, torch.permute, (0, 3, 1, 2))


def _padded(x: Node, padding: tuple[int, int]) -> Node:
    (down, across), (height, width) = padding, resolved(x.shape[2:])
    shape = (*x.shape[:2], height + 2 * down, width + 2 * across)
    return _move(x, shape, F.pad, (across, across, down, down))


def _apart(x: Node, axis: int, size: int, step: int, count: int) -> Node:
    """``x`` with ``count`` windows of ``size`` one behind the other, each ``step`` further."""
    front, back = x.shape[:axis], x.shape[axis + 1 :]
    if step != size:
        x = _move(x, (*front, count, *back, size), Tensor.unfold, axis, size, step)
        x = _move(x, (*front, count, size, *back), Tensor.movedim, -1, axis + 1)
        return _move(x, (*front, count * size, *back), Tensor.flatten, axis, axis + 1)
    if x.shape[axis] == count * size:
        return x
    # A convolution leaves out what is less than a patch.
    return _move(x, (*front, count * size, *back), Tensor.narrow, axis, 0, count * size)


def _move(x: Node, shape: Shape, function: Callable[..., Tensor], *args: Any) -> Node:
    return Move(x.path, (x,), shape, Call(function, (Operand(0), *args)))


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
