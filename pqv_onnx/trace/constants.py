"""Constants that reach several tokens or two heads: each goes where it is used."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.nodes import Add, Concat, Linear, Node, Scale
from pqv_onnx.trace.values import Const, Shape, constant


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
        size = part.shape[joined.axis]
        assert isinstance(size, int)  # concat along the batch is refused
        shape = (*const.shape[:axis], size, *const.shape[axis + 1 :])
        piece = constant(torch.narrow, const, axis, start, size, shape=shape)
        if isinstance(part, Const):
            parts.append(constant(torch.add, part, piece, shape=part.shape))
        else:
            parts.append(Add(node.path, (part, piece), part.shape))
        start += size
    return Concat(joined.path, tuple(parts), joined.shape, joined.axis)


def heads(graph: Graph) -> Graph:
    """c * (linear(a) + linear(b)), logits of a distilled model, becomes a linear of both inputs."""
    total, factor = graph.output, 1.0
    if isinstance(total, Scale) and not isinstance(total.by, Const):
        factor, total = total.by, total.nodes[0]
    if not isinstance(total, Add):
        return graph
    linears = [value for value in total.inputs if isinstance(value, Linear) and not value.kernel]
    if len(linears) != 2 or not all(len(linear.shape) == 2 for linear in linears):
        return graph
    first, second = linears
    inputs = (first.inputs[0], second.inputs[0])
    width = sum(_size(value.shape[1]) for value in inputs)
    joined = Concat(total.path, inputs, (first.shape[0], width), 1)
    weights = (first.weight, second.weight)
    shape = (first.shape[1], width)
    weight = constant(_joined, *weights, factor, shape=shape)
    biases = [linear.bias for linear in linears if linear.bias is not None]
    bias = constant(_summed, biases, factor, shape=shape[:1]) if biases else None
    return Graph.of(Linear(total.path, (joined,), first.shape, weight, bias))


def _size(size: object) -> int:
    assert isinstance(size, int)  # channels are never the batch: their reader refuses that
    return size


def _joined(first: Tensor, second: Tensor, factor: float) -> Tensor:
    return torch.cat((first, second), 1) * factor


def _summed(biases: list[Tensor], factor: float) -> Tensor:
    return torch.stack(biases).sum(0) * factor


def is_factor(shape: Shape) -> bool:
    """Whether a constant of this shape has one element per channel, head or value."""
    return sum(size != 1 for size in shape) <= 1
