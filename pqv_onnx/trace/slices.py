"""Tokens that nobody reads are left out before the last norm, not behind it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from pqv_onnx.trace.maps import places, sizes, split_chain, width
from pqv_onnx.trace.nodes import Concat, Move, Node, Norm
from pqv_onnx.trace.values import Call, Operand


def early(node: Node, uses: Callable[[Node], int]) -> Node | None:
    """A slice of a norm becomes the norm of a slice."""
    if not isinstance(node, Move) or not isinstance(node.nodes[0], Norm):
        return None
    norm = node.nodes[0]
    fewer = math.prod(sizes(node)) < math.prod(sizes(norm))
    if uses(norm) > 1 or not fewer or node.shape[-1] != norm.shape[-1]:
        return None
    return replace(norm, inputs=(replace(node, inputs=norm.inputs),), shape=node.shape)


def neighbours(node: Node, uses: Callable[[Node], int]) -> Node | None:
    """concat(x[:, 0], x[:, 1]) of tokens x [B, N, C] becomes x[:, :2], flattened."""
    if not isinstance(node, Concat):
        return None
    chains = [split_chain(value, Move) for value in node.nodes]
    source = chains[0][0]
    together = all(found is source for found, _ in chains) and len(node.nodes) == len(node.inputs)
    if not together or len(source.shape) != 3 or len(node.shape) != 2:
        return None
    found = [places(source, chain) for _, chain in chains]
    if any(part is None for part in found):
        return None
    elements = torch.cat([part.flatten() for part in found if part is not None])
    channels = width(source)
    start, count = int(elements[0]), elements.numel()
    in_order = torch.equal(elements, torch.arange(start, start + count))
    if not in_order or start % channels or count % channels:
        return None
    call = Call(Tensor.narrow, (Operand(0), 1, start // channels, count // channels))
    shape = (source.shape[0], count // channels, channels)
    part = Move(node.path, (source,), shape, call)
    return Move(node.path, (part,), node.shape, Call(Tensor.flatten, (Operand(0), 1)))
