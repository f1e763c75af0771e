"""Residual streams, and the segments into which they cut a model."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from pqv_onnx.trace.nodes import Add, Move, Node


@dataclass(frozen=True, eq=False)
class Link:
    """A residual addition.

    Attributes:
        node: the addition.
        carried: which of its inputs is the stream; the other is the branch.
    """

    node: Add
    carried: int


@dataclass(frozen=True, eq=False)
class Stream:
    """Values of one role, each the sum of the one before and a branch.

    Attributes:
        start: the first value; a sum of two branches may be one.
        links: the additions, in order.
    """

    start: Node
    links: tuple[Link, ...]


@dataclass(frozen=True, eq=False)
class Segment:
    """Nodes of which one input and one output are all that others see.

    Attributes:
        input: what comes in; None for the first segment, which holds the model's input.
        nodes: in order; the last is the output.
    """

    input: Node | None
    nodes: tuple[Node, ...]

    @property
    def output(self) -> Node:
        """What goes out."""
        return self.nodes[-1]


def origin(value: Node) -> Node:
    """What moves of one value have moved."""
    while isinstance(value, Move) and len(value.nodes) == 1:
        value = value.nodes[0]
    return value


def _ancestors(nodes: Iterable[Node]) -> dict[Node, int]:
    """Which nodes each depends on, as bits; the highest is its own, so later nodes have more."""
    bits: dict[Node, int] = {}
    for index, node in enumerate(nodes):
        bits[node] = 1 << index
        for value in node.nodes:
            bits[node] |= bits[value]
    return bits


def find_streams(nodes: Sequence[Node]) -> tuple[Stream, ...]:
    """The streams of a graph's nodes.

    An addition of two values is a link if one of them, back through moves, is an ancestor of the
    other or in a stream. Of two such inputs the later is the stream: x + attention(x), plus
    mlp(x). An addition of two branches without either starts a stream.
    """
    ancestors = _ancestors(nodes)
    member: dict[Node, int] = {}
    starts: list[Node] = []
    links: list[list[Link]] = []

    def start(node: Node) -> None:
        member[node] = len(starts)
        starts.append(node)
        links.append([])

    for node in nodes:
        if not isinstance(node, Add) or len(node.nodes) < 2:
            continue
        carried = _carried(node, ancestors, member)
        if carried is None:
            start(node)
            continue
        base = origin(node.nodes[carried])
        if base not in member:
            start(base)
        member[node] = member[base]
        links[member[base]].append(Link(node, carried))
    pairs = zip(starts, links, strict=True)
    return tuple(Stream(first, tuple(additions)) for first, additions in pairs)


def _carried(node: Add, ancestors: dict[Node, int], member: Container[Node]) -> int | None:
    """Which input is the stream."""
    bases = [origin(value) for value in node.nodes]
    own = [ancestors[base] for base in bases]
    others = [ancestors[value] for value in reversed(node.nodes)]
    # What comes from a base has all its bits.
    candidates = [i for i in (0, 1) if bases[i] in member or own[i] | others[i] == others[i]]
    return max(candidates, key=own.__getitem__, default=None)


def find_segments(nodes: Sequence[Node], streams: Iterable[Stream]) -> tuple[Segment, ...]:
    """The nodes, cut behind each value of a stream that is the only one live there."""
    values = {
        value
        for stream in streams
        for value in (stream.start, *(link.node for link in stream.links))
    }
    last = {value: index for index, node in enumerate(nodes) for value in node.nodes}
    cuts = [index for index in _lone(nodes, last) if nodes[index] in values]
    if not cuts or cuts[-1] != len(nodes) - 1:
        cuts.append(len(nodes) - 1)
    segments, begin = [], 0
    for cut in cuts:
        before = nodes[begin - 1] if begin else None
        segments.append(Segment(before, tuple(nodes[begin : cut + 1])))
        begin = cut + 1
    return tuple(segments)


def _lone(nodes: Sequence[Node], last: dict[Node, int]) -> list[int]:
    """Positions of nodes behind which no other value is live."""
    lone, live = [], 0  # the last position that reads any value before
    for index, node in enumerate(nodes):
        if live <= index:
            lone.append(index)
        live = max(live, last.get(node, index))
    return lone
