"""Constants that reach several tokens or two heads: each goes where it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeGuard

import torch
from torch import Tensor

from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.nodes import Add, Concat, Heads, Linear, Node, Norm, Scale, reads_channels
from pqv_onnx.trace.values import Const, Shape, constant, resolved


def embedding(node: Node, uses: Callable[[Node], int]) -> Node | None:
    """concat(parts) + constant becomes the concat of each part plus its piece of the constant.

    Then class token and position are one constant, and the patches' addition needs no copy of
    what the others are.
    """
    if not isinstance(node, Add) or len(node.nodes) != 1:
        return None
    joined = node.nodes[0]
    const = next(value for value in node.inputs if isinstance(value, Const))
    if not isinstance(joined, Concat) or uses(joined) > 1:
        return None
    axis = joined.axis - len(joined.shape) + len(const.shape)
    if axis < 0 or const.shape[axis] != joined.shape[joined.axis]:
        return None
    parts: list[Node | Const] = []
    start = 0
    for part in joined.inputs:
        size = resolved(part.shape)[joined.axis]
        shape = (*const.shape[:axis], size, *const.shape[axis + 1 :])
        piece = constant(torch.narrow, const, axis, start, size, shape=shape)
        if isinstance(part, Const):
            parts.append(constant(torch.add, part, piece, shape=part.shape))
        else:
            parts.append(Add(node.path, (part, piece), part.shape))
        start += size
    return Concat(joined.path, tuple(parts), joined.shape, joined.axis)


def norm_factor(node: Node, uses: Callable[[Node], int]) -> Node | None:
    """c * norm(x) becomes a norm whose weight and bias are c times as much."""
    if not isinstance(node, Scale) or isinstance(node.by, Const):
        return None
    norm = node.nodes[0]
    if not isinstance(norm, Norm) or norm.weight is None or uses(norm) > 1:
        return None
    scaled = [
        None if const is None else constant(torch.mul, const, node.by, shape=const.shape)
        for const in (norm.weight, norm.bias)
    ]
    return replace(norm, weight=scaled[0], bias=scaled[1])


def heads(graph: Graph) -> Graph:
    """(linear(a) + linear(b)) / 2, a distilled model's logits, becomes one layer of both inputs."""
    mean = graph.output
    if (
        len(graph.outputs) > 1
        or not isinstance(mean, Scale)
        or mean.by != 0.5
        or not isinstance(mean.nodes[0], Add)
    ):
        return graph
    linears = [value for value in mean.nodes[0].inputs if _is_head(value)]
    if len(linears) != 2:
        return graph
    first, second = linears
    inputs = (first.inputs[0], second.inputs[0])
    width = sum(resolved(value.shape)[1] for value in inputs)
    joined = Concat(mean.path, inputs, (first.shape[0], width), 1)
    classes = first.shape[1:]
    weight = constant(_joined, first.weight, second.weight, shape=(*classes, width))
    bias, difference = (
        constant(_half, first.bias, second.bias, sign, shape=classes) for sign in (1, -1)
    )
    path = first.path
    return Graph.of(Heads(path, (joined,), first.shape, weight, bias, None, difference))


def _is_head(value: Node | Const) -> TypeGuard[Linear]:
    """Whether a value is a linear layer, with a bias, of one vector for each image."""
    return reads_channels(value) and value.bias is not None and len(value.shape) == 2


def _joined(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat((first, second), 1) / 2


def _half(first: Tensor, second: Tensor, sign: int) -> Tensor:
    return (first + sign * second) / 2


def is_factor(shape: Shape) -> bool:
    """Whether a constant of this shape has one element per channel, head or value."""
    return sum(size != 1 for size in shape) <= 1
