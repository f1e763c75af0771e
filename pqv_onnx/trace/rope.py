"""Rotary embeddings: found by what the moves do, not by how they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from pqv_onnx.ops.int_rotary import rotated
from pqv_onnx.trace.evaluate import move
from pqv_onnx.trace.maps import numbers
from pqv_onnx.trace.nodes import Add, Concat, Move, Negation, Node, Rope, Scale
from pqv_onnx.trace.values import Const


def rope(node: Node, uses: Callable[[Node], int]) -> Node | None:
    """x * cos + rotated(x) * sin becomes one node, which takes in the tokens left out."""
    if isinstance(node, Add):
        return _sum(node)
    if isinstance(node, Concat):
        return _with_prefix(node)
    return None


def _sum(node: Add) -> Rope | None:
    terms = [value for value in node.inputs if isinstance(value, Scale)]
    if len(terms) != 2:
        return None
    for straight, turned in (terms, terms[::-1]):
        x, cos, sin = straight.nodes[0], straight.by, turned.by
        pairs = _rotation(turned.nodes[0], x)
        if pairs is not None and isinstance(cos, Const) and isinstance(sin, Const):
            return Rope(node.path, (x,), node.shape, cos, sin, pairs)
    return None


def _rotation(value: Node, x: Node) -> bool | None:
    """Whether ``value`` is x rotated in pairs (True) or halves (False); None: neither."""
    last = x.shape[-1]
    if value is x or value.shape != x.shape or not isinstance(last, int) or last % 2:
        return None
    before = numbers(x)
    found = _moved(value, {x: before})
    if found is None:
        return None
    kinds = [pairs for pairs in (True, False) if torch.equal(found, rotated(before, pairs))]
    return kinds[0] if kinds else None


def _moved(value: Node, known: dict[Node, Tensor]) -> Tensor | None:
    """What moves and negations make of known values; None if there is anything else."""
    if value in known:
        return known[value]
    if not isinstance(value, Move | Negation | Concat) or len(value.nodes) != len(value.inputs):
        return None
    inputs = [_moved(part, known) for part in value.nodes]
    parts = [part for part in inputs if part is not None]
    if len(parts) < len(inputs):
        return None
    if isinstance(value, Move):
        known[value] = move(value, *parts, batch=1)
    else:
        joined = torch.cat(parts, value.axis) if isinstance(value, Concat) else -parts[0]
        known[value] = joined
    return known[value]


def _with_prefix(node: Concat) -> Rope | None:
    """concat(first tokens, rope(other tokens)) of one value: a rope with a prefix."""
    if len(node.inputs) != 2 or node.axis != len(node.shape) - 2:
        return None
    head, turned = node.inputs
    if not isinstance(head, Move) or not isinstance(turned, Rope) or turned.prefix:
        return None
    rest, base = turned.nodes[0], head.nodes[0]
    prefix = head.shape[-2]
    if base.shape != node.shape or not isinstance(prefix, int):
        return None
    before = numbers(base)
    known = {base: before}
    parts = _moved(head, known), _moved(rest, known)
    if parts[0] is None or parts[1] is None:
        return None
    if not torch.equal(torch.cat((parts[0], parts[1]), node.axis), before):
        return None
    return replace(turned, inputs=(base,), shape=node.shape, prefix=prefix)
