"""What a chain of moves does as a whole: which element comes to which place."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from pqv_onnx.trace.evaluate import move
from pqv_onnx.trace.nodes import Attention, Linear, Move, Node, Norm, Rope, Scale
from pqv_onnx.trace.values import Batch, Const, resolved


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
    found = 1
    for size in node.weight.shape[1:]:
        assert isinstance(size, int)  # weights do not depend on the batch
        found *= size
    return found


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


def split_chain(value: Node) -> tuple[Node, list[Move]]:
    """Back through moves of one value: where it comes from, and the moves in their order."""
    chain: list[Move] = []
    while isinstance(value, Move) and len(value.inputs) == 1:
        chain.insert(0, value)
        value = value.nodes[0]
    return value, chain


def split_head_ops(value: Node) -> tuple[Node, list[Move], list[tuple[Norm | Rope, int]]]:
    """Back through moves of one value, norms and rotary embeddings of heads.

    Returns:
        Where it comes from, the moves in their order, and the norms and embeddings in theirs, each
        with how many of the moves come behind it.
    """
    moves: list[Move] = []
    ops: list[tuple[Norm | Rope, int]] = []
    while isinstance(value, Move | Norm | Rope) and len(value.inputs) == 1:
        if isinstance(value, Move):
            moves.insert(0, value)
        else:
            ops.insert(0, (value, len(moves)))
        value = value.nodes[0]
    return value, moves, ops


def split_factors(value: Node) -> tuple[Node, list[Move | Scale]]:
    """The same, back through factors, too."""
    chain: list[Move | Scale] = []
    while isinstance(value, Move | Scale):
        chain.insert(0, value)
        value = value.nodes[0]
    return value, chain


def keeps_channels(value: Node | Const) -> bool:
    """Whether what is moved and scaled still has all its channels, in order, in the last axis."""
    if isinstance(value, Const):
        return True
    source, chain = split_factors(value)
    in_order = torch.arange(width(source), device="cpu")
    found = in_order
    for node in chain:
        found = moved(node, found) if isinstance(node, Move) else found
    return torch.equal(found, in_order)


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
    channels = source.shape[-1]
    assert isinstance(channels, int)
    if found is None or found.shape[-1] != channels:
        return None
    rows = found.reshape(-1, channels)
    index = rows[:, 0] // channels
    kept = torch.equal(rows, index[:, None] * channels + torch.arange(channels))
    return index if kept else None


def reads_alone(
    node: Attention, readers: Mapping[Node, Sequence[Node]], outputs: Collection[Node]
) -> bool:
    """Whether nothing else reads what layers give an attention, through moves, norms and ropes.

    A layer that has more channels than the attention reads may have other readers.

    Args:
        node: the attention.
        readers: of each node.
        outputs: results of the model, which are read by others.
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
    read = {reader for value in way for reader in readers[value]}
    return read <= way | {node} and way.isdisjoint(outputs)


def keeps_order(source: Node, chain: Sequence[Move]) -> bool:
    """Whether a chain keeps all elements of ``source`` in their order."""
    found = places(source, chain)
    return found is not None and torch.equal(
        found.flatten(), torch.arange(math.prod(sizes(source)))
    )
