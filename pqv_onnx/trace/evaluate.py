"""The meaning of a graph in float: what each kind of node computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pqv_onnx.errors import PqvError, first_line
from pqv_onnx.ops.int_rotary import rotated
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.nodes import (
    FUNCTIONS,
    Activation,
    Add,
    Attention,
    Concat,
    Gate,
    Heads,
    Input,
    Linear,
    Max,
    Mean,
    Move,
    Negation,
    Node,
    Norm,
    Rope,
    Scale,
)
from pqv_onnx.trace.values import Batch, Const, Operand, one_or_all, resolved

_IMAGES = 2
"""Images that shapes are checked with."""


def evaluate(graph: Graph, tensors: Mapping[str, Tensor], images: Tensor) -> Any:
    """What the recorded model computes, up to the order of float additions.

    Args:
        graph: of a model.
        tensors: its parameters and buffers by name, or others of the same shapes.
        images: float32 [B, C, H, W] of the recorded size.

    Returns:
        A tensor, or a tuple of several.

    Raises:
        PqvError: the images have another size.
    """
    expected = graph.input.shape[1:]
    if tuple(images.shape[1:]) != expected:
        raise PqvError(f"images are {list(images.shape[1:])}, expected {list(expected)}")
    run = _Run(tensors, images, images.shape[0])
    values: dict[Node, Tensor] = {}
    for node in graph.nodes:
        inputs = [values[v] if isinstance(v, Node) else run.constant(v) for v in node.inputs]
        values[node] = _MEANINGS[type(node)](run, node, *inputs)
    return one_or_all([values[output] for output in graph.outputs])


def check_shapes(graph: Graph) -> None:
    """Compute a graph without memory, two images of it.

    Raises:
        PqvError: a node cannot be computed, or gives another shape than it says.
    """
    images = torch.empty(resolved(graph.input.shape, _IMAGES), device="meta")
    run = _Shapes({}, images, _IMAGES)
    values: dict[Node, Tensor] = {}
    for place, node in enumerate(graph.nodes):
        try:
            inputs = [values[v] if isinstance(v, Node) else run.constant(v) for v in node.inputs]
            values[node] = _MEANINGS[type(node)](run, node, *inputs)
            found, wanted = tuple(values[node].shape), resolved(node.shape, _IMAGES)
        except Exception as error:  # whatever torch makes of a damaged node
            sentence = first_line(error)
            raise PqvError(f"graph: node {place} cannot be computed: {sentence}") from None
        if found != wanted:
            raise PqvError(f"graph: node {place} is {list(found)}, expected {list(wanted)}")


def move(node: Move, *inputs: Tensor, batch: int) -> Tensor:
    """Make the call of a ``Move`` on values for ``batch`` images."""

    def resolve(leaf: Any) -> Any:
        if isinstance(leaf, Operand):
            return inputs[leaf.index]
        return leaf.times * batch if isinstance(leaf, Batch) else leaf

    return node.call(resolve)


@dataclass
class _Run:
    tensors: Mapping[str, Tensor]
    images: Tensor
    batch: int

    def constant(self, const: Const) -> Tensor:
        return const.value(self.tensors, self.images.device)

    def optional(self, const: Const | None) -> Tensor | None:
        return None if const is None else self.constant(const)

    def number(self, by: float | Const) -> Tensor | float:
        return self.constant(by) if isinstance(by, Const) else by


class _Shapes(_Run):
    """Constants without values."""

    def constant(self, const: Const) -> Tensor:
        return torch.empty(resolved(const.shape), device="meta")


def _linear(run: _Run, node: Linear, x: Tensor) -> Tensor:
    weight, bias = run.constant(node.weight), run.optional(node.bias)
    if node.kernel is None:
        return F.linear(x, weight, bias)
    return F.conv2d(x, weight, bias, stride=node.kernel).permute(0, 2, 3, 1)


def _norm(run: _Run, node: Norm, x: Tensor) -> Tensor:
    weight, bias = run.optional(node.weight), run.optional(node.bias)
    if node.of == "l2":
        return F.normalize(x, dim=-1, eps=node.eps or 0.0)
    if node.of == "rms":
        return F.rms_norm(x, x.shape[-1:], weight, node.eps)
    return F.layer_norm(x, x.shape[-1:], weight, bias, node.eps or 0.0)


def _attention(run: _Run, node: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if node.grouped:
        k, v = (t.repeat_interleave(q.shape[-3] // t.shape[-3], -3) for t in (k, v))
    logits = q @ k.transpose(-2, -1)
    for factor in node.factors:
        logits = logits * run.number(factor)
    parts = logits.shape[0] // run.batch
    for const in node.biases:
        split = logits.unflatten(0, (run.batch, parts))
        logits = (split + run.constant(const)).flatten(0, 1)
    return logits.softmax(-1) @ v


def _rope(run: _Run, node: Rope, x: Tensor) -> Tensor:
    head, rest = x[..., : node.prefix, :], x[..., node.prefix :, :]
    turned = rest * run.constant(node.cos) + rotated(rest, node.pairs) * run.constant(node.sin)
    return torch.cat((head, turned), -2)


def _concat(run: _Run, node: Concat, *parts: Tensor) -> Tensor:
    sizes = [-1] * len(node.shape)
    sizes[0] = run.batch
    whole = [
        part.expand(sizes) if isinstance(value, Const) else part
        for part, value in zip(parts, node.inputs, strict=True)
    ]
    return torch.cat(whole, node.axis)


_MEANINGS: dict[type[Node], Callable[..., Tensor]] = {
    Input: lambda run, node: run.images,
    Linear: _linear,
    Heads: _linear,
    Norm: _norm,
    Attention: _attention,
    Rope: _rope,
    Activation: lambda run, node, x: FUNCTIONS[node.function](x * node.factor) / node.factor,
    Gate: lambda run, node, a, b: a * b,
    Scale: lambda run, node, x: x * run.number(node.by),
    Add: lambda run, node, a, b: a + b,
    Concat: _concat,
    Mean: lambda run, node, x: x.mean(node.axes, keepdim=node.keep),
    Max: lambda run, node, x: x.amax(node.axes, keepdim=node.keep),
    Move: lambda run, node, *inputs: move(node, *inputs, batch=run.batch),
    Negation: lambda run, node, x: -x,
}
