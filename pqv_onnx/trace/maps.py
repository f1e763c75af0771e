"""What a chain of moves does as a whole: which element comes to which place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import TypeVar

import torch
from torch import Tensor

from pqv_onnx.trace.evaluate import move
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.nodes import Attention, Linear, Move, Node, Norm, Rope, Scale
from pqv_onnx.trace.values import Batch, Const, resolved

N = TypeVar("N", bound=Node)


def sizes(node: Node) -> tuple[int, ...]:
    """The shape of a value for one image."""
    return resolved(node.shape)


def numbers(node: Node) -> Tensor:
    """Distinct numbers in the shape of a value for one image; none is 0, its own negative."""
    shape = sizes(node)
    return torch.arange(1, 1 + math.prod(shape), dtype=torch.int32, device="cpu").reshape(shape)


def width(node: Node) -> int:
    """Channels of a value: the size of its last axis."""
    return sizes(node)[-1]


def fan_in(node: Linear) -> int:
    """Inputs of each output of a linear layer."""
    return math.prod(resolved(node.weight.shape[1:]))


def moved(node: Move, places: Tensor) -> Tensor:
    """Move indices that broadcast against one image of a move's input; equal slices become one.

    Padding has none, so it takes whatever its slice has.
    """
    out = move(node, places.expand(sizes(node.nodes[0])) + 1, batch=1)
    for axis in range(out.ndim):
        if out.shape[axis]:
            largest = out.amax(axis, keepdim=True)
            if bool(((out == largest) | (out == 0)).all()):
                out = largest
    while out.ndim > 1 and out.shape[0] == 1:
        out = out[0]
    return (out - 1).clamp_min_(0)


def split_chain(value: Node, *kinds: type[N]) -> tuple[Node, list[N]]:
    """Back through nodes of some kinds and one input: where it comes from, and they in order."""
    chain: list[N] = []
    while isinstance(value, kinds) and len(value.inputs) == 1:
        chain.insert(0, value)
        value = value.nodes[0]
    return value, chain


def chain_to(
    kind: type[N] | UnionType, node: Node, graph: Graph, *passed: type[Node]
) -> tuple[list[Move], N] | None:
    """The moves between a node and the one of a kind that alone reads it, if others pass it on.

    Args:
        kind: of the node to find.
        node: where to begin.
        graph: of both.
        passed: kinds that may stand between, besides moves.
    """
    chain: list[Move] = []
    while len(graph.readers[node]) == 1:
        (node,) = graph.readers[node]
        if isinstance(node, kind):
            return chain, node
        if isinstance(node, Move):
            chain.append(node)
        elif not isinstance(node, passed):
            return None
    return None


def moved_along(chain: Iterable[Node], places: Tensor) -> Tensor:
    """Move indices as `moved` does, by all moves of a chain; its other nodes move nothing."""
    for node in chain:
        places = moved(node, places) if isinstance(node, Move) else places
    return places


def keeps_channels(value: Node | Const) -> bool:
    """Whether what is moved and scaled still has all its channels, in order, in the last axis."""
    if isinstance(value, Const):
        return True
    source, chain = split_chain(value, Move, Scale)
    in_order = torch.arange(width(source), device="cpu")
    return torch.equal(moved_along(chain, in_order), in_order)


def places(source: Node, chain: Sequence[Move]) -> Tensor | None:
    """Which element of one image of ``source`` a chain brings to each place of its result.

    Returns:
        int64, of the result's shape for one image; None if a chain does not keep images apart
        and one behind the other.
    """
    end = chain[-1] if chain else source
    if not isinstance(source.shape[0], Batch) or not isinstance(end.shape[0], Batch):
        return None
    shape = sizes(source)
    count = math.prod(shape)
    x = torch.arange(2 * count, device="cpu").reshape(2 * shape[0], *shape[1:])
    for node in chain:
        x = move(node, x, batch=2)
    first, second = x.reshape(2, -1)
    return first.reshape(sizes(end)) if torch.equal(first + count, second) else None


def tokens(source: Node, chain: Sequence[Move]) -> Tensor | None:
    """Which token of one image of ``source`` [..., C] a chain brings to each place, int64 [T].

    None if it does not keep each token's channels together and in order.
    """
    found = places(source, chain)
    channels = width(source)
    if found is None or found.shape[-1] != channels:
        return None
    rows = found.reshape(-1, channels)
    index = rows[:, 0] // channels
    kept = torch.equal(rows, index[:, None] * channels + torch.arange(channels))
    return index if kept else None


def reads_alone(node: Attention, graph: Graph) -> bool:
    """Whether nothing else reads what layers give an attention, through moves, norms and ropes.

    A layer that has more channels than the attention reads may have other readers.
    """
    most = 3 * math.prod(sizes(node)[-3::2])
    way: set[Node] = set()
    pending = list(node.nodes)
    while pending:
        value = pending.pop()
        if isinstance(value, Move | Norm | Rope):
            pending += value.nodes
        elif width(value) > most:
            continue
        way.add(value)
    read = {reader for value in way for reader in graph.readers[value]}
    return read <= way | {node} and way.isdisjoint(graph.outputs)


def keeps_order(source: Node, chain: Sequence[Move]) -> bool:
    """Whether a chain keeps all elements of ``source`` in their order."""
    found = places(source, chain)
    return found is not None and torch.equal(
        found.flatten(), torch.arange(math.prod(sizes(source)))
    )
