"""Attention out of its parts: what stands between the products, and factors of q and k."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from pqv_onnx.trace.evaluate import move
from pqv_onnx.trace.maps import numbers
from pqv_onnx.trace.nodes import Add, Attention, Move, Node, Product, Scale, Softmax
from pqv_onnx.trace.refusals import refuse
from pqv_onnx.trace.values import Const, Shape, constant


def attention(node: Node, uses: Callable[[Node], int]) -> Node | None:
    """softmax(...) v becomes one node; factors of its queries and keys become its own."""
    if isinstance(node, Attention):
        return _collect(node)
    if not isinstance(node, Product) or not isinstance(node.inputs[0], Softmax):
        return None
    softmax, value = node.inputs[0], node.inputs[1]
    if uses(softmax) > 1:
        refuse(softmax.path, "weights of attention are read twice", "once")
    logits = _Logits(softmax)
    query, key = logits.product.inputs
    keys, factors = _transposed(key, softmax.path)
    inputs = (query, keys, value)
    found = (*factors, *logits.factors)
    return _collect(Attention(node.path, inputs, node.shape, found, tuple(logits.biases)))


class _Logits:
    """What makes logits of a product of queries and keys, from the softmax back."""

    def __init__(self, softmax: Softmax) -> None:
        self.path = softmax.path
        self.factors: list[float | Const] = []
        self.biases: list[Const] = []
        value: Node = softmax.nodes[0]
        while not isinstance(value, Product):
            value = self._peel(value)
        self.product = value

    def _peel(self, value: Node) -> Node:
        if isinstance(value, Add):
            if self.factors:
                refuse(self.path, "scales attention's logits and their bias")
            if len(value.nodes) == 2:
                refuse(self.path, "adds activations to attention's logits")
            const = next(v for v in value.inputs if isinstance(v, Const))
            self.biases.append(_without_batch(const, len(value.shape), self.path))
        elif isinstance(value, Scale):
            if not _is_per_head(value.by):
                refuse(self.path, "scales attention's logits by other than one factor a head")
            self.factors.append(value.by)
        elif not isinstance(value, Move) or not _splits_first(value):
            refuse(self.path, f"a softmax of {value.kind}", "of a product of queries and keys")
        return value.nodes[0]


def _splits_first(value: Move) -> bool:
    """Whether a reshape only splits or joins axes in front of heads, queries and keys."""
    before: Shape = value.nodes[0].shape
    names = ("reshape", "unflatten", "flatten")
    return value.function in names and before[-3:] == value.shape[-3:] and len(before) > 3


def _without_batch(bias: Const, axes: int, path: str) -> Const:
    """A bias of logits [B, P, H, N, M] without the first axis, along which it is the same."""
    if axes < 5 or len(bias.shape) < axes:
        return bias
    if axes > 5 or bias.shape[0] != 1:
        refuse(path, f"a bias {list(bias.shape)} of attention's logits", "one for all images")
    shape = bias.shape[1:]
    return constant(torch.squeeze, bias, 0, shape=shape, dtype=bias.dtype)


def _is_per_head(by: float | Const) -> bool:
    """Whether a factor is a number or of shape [..., H, 1, 1], the same in a batch and in windows.

    One number in a constant is a factor, too.
    """
    if not isinstance(by, Const):
        return True
    shape = by.shape
    return all(size == 1 for size in shape[-2:]) and all(size == 1 for size in shape[:-3])


def _transposed(key: Node | Const, path: str) -> tuple[Node, tuple[float | Const, ...]]:
    """Keys before their last two axes were exchanged, and factors that came after."""
    if isinstance(key, Const):
        refuse(path, "keys of attention are constants")
    factors: list[float | Const] = []
    while isinstance(key, Scale) and _is_per_head(key.by):
        factors.append(key.by)
        key = key.nodes[0]
    if not isinstance(key, Move) or not _exchanges_last(key):
        refuse(path, "keys of attention are not transposed")
    return key.nodes[0], tuple(factors)


def _exchanges_last(value: Move) -> bool:
    before = value.nodes[0].shape
    if len(before) < 2 or value.shape != (*before[:-2], before[-1], before[-2]):
        return False
    found = numbers(value.nodes[0])
    return torch.equal(move(value, found, batch=1), found.mT)


def _collect(node: Attention) -> Attention:
    """Take the factors of queries and keys into the node."""
    factors = list(node.factors)
    inputs = list(node.inputs)
    for index in (0, 1):
        value = inputs[index]
        while isinstance(value, Scale) and _is_per_head(value.by):
            factors.append(value.by)
            value = value.inputs[0]
        inputs[index] = value
    return replace(node, inputs=tuple(inputs), factors=tuple(factors))
