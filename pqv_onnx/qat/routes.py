"""Which layers write to a residual stream and which read it; which make heads and read them.

A rotation has to reach all of them, so whatever else touches the values means: none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from pqv_onnx.qat import handlers
from pqv_onnx.qat.handlers import Handler
from pqv_onnx.qat.layers import Constant, QuantActivation, QuantLinear, QuantNorm
from pqv_onnx.trace import nodes
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.maps import (
    chain_to,
    keeps_channels,
    moved,
    moved_along,
    reads_alone,
    split_chain,
    width,
)
from pqv_onnx.trace.nodes import Node
from pqv_onnx.trace.streams import Stream as GraphStream
from pqv_onnx.trace.streams import origin
from pqv_onnx.trace.values import Const


@dataclass
class Stream:
    """What writes to a residual stream and what reads from it.

    Attributes:
        channels: its width.
        constants: [..., channels], added to it.
        writers: layers whose outputs are added to it, with the factors behind.
        readers: norms and the layers behind them, or a layer without a norm; widths may be
            multiples of ``channels``, where several tokens are read side by side.
    """

    channels: int
    constants: list[Constant] = field(default_factory=list)
    writers: list[tuple[QuantLinear, list[Constant]]] = field(default_factory=list)
    readers: list[tuple[QuantNorm | None, list[QuantLinear]]] = field(default_factory=list)


Places = tuple[QuantLinear, Tensor]
"""A layer, and which of its outputs or inputs each head has, int64 [heads, width]."""


@dataclass(frozen=True)
class Heads:
    """Where the heads of an attention come from, and where they go.

    Attributes:
        query, key, value: the layers that make them; of keys and values there may be fewer heads.
        output: the layer that reads them.
        plain: whether queries and keys are what layers give, neither normalised nor turned.
    """

    query: Places
    key: Places
    value: Places
    output: Places
    plain: bool

    @property
    def width(self) -> int:
        """Channels of a head."""
        return self.value[1].shape[1]

    @property
    def apart(self) -> bool:
        """Whether queries, keys and values have no channels in common."""
        rows = (self.query, self.key, self.value)
        found = {(linear, place) for linear, places in rows for place in places.flatten().tolist()}
        return len(found) == sum(places.numel() for _, places in rows)

    @property
    def layers(self) -> list[QuantLinear]:
        """All of its layers, some of them more than once."""
        return [linear for linear, _ in (self.query, self.key, self.value, self.output)]


class _Lost(Exception):
    """The values go a way that cannot be followed."""


class Routes:
    """Follows values through a graph."""

    def __init__(self, graph: Graph, made: Mapping[Node, Handler[Node]]) -> None:
        """Take a graph and its handlers."""
        self._graph, self._handlers = graph, made
        self._readers = graph.readers

    def streams(self) -> Iterator[Stream]:
        """The residual streams of which everything that writes and reads them is known."""
        for stream in self._graph.streams:
            try:
                yield self._stream(stream)
            except _Lost:
                continue

    def heads(self) -> Iterator[Heads]:
        """The attentions between linear layers."""
        for node in self._graph.nodes:
            if isinstance(node, nodes.Attention):
                try:
                    yield self._heads(node)
                except _Lost:
                    continue

    def _heads(self, node: nodes.Attention) -> Heads:
        if len(node.nodes) < 3 or not reads_alone(node, self._graph):
            raise _Lost
        (query, q_plain), (key, k_plain), (value, v_plain) = map(self._rows, node.nodes)
        if not v_plain:
            raise _Lost
        one_factor = not any(isinstance(factor, Const) for factor in node.factors)
        plain = q_plain and k_plain and one_factor
        return Heads(query, key, value, self._columns(node), plain)

    def norms(self) -> Iterator[tuple[QuantNorm, list[QuantLinear]]]:
        """The norms that nothing but linear layers read, and these."""
        for node in self._graph.nodes:
            if isinstance(node, nodes.Norm):
                try:
                    yield self._norm(node, width(node))
                except _Lost:
                    continue

    def activations(self) -> Iterator[tuple[QuantLinear, QuantActivation, list[QuantLinear]]]:
        """The functions of what one layer gives for nothing else, and the layers that read them."""
        for node in self._graph.nodes:
            if isinstance(node, nodes.Activation) and node not in self._graph.outputs:
                handler, (before,) = self._handlers[node], node.nodes
                assert isinstance(handler, handlers.Activation)
                behind = self._readers[node]
                plain = [self._linear(x) for x in (before, *behind) if nodes.reads_channels(x)]
                if len(plain) > len(behind) and self._readers[before] == [node]:
                    yield plain[0], handler.layer, plain[1:]

    def _norm(self, node: nodes.Norm, channels: int) -> tuple[QuantNorm, list[QuantLinear]]:
        """A norm of tokens of a stream, and the layers behind it."""
        handler = self._handlers[node]
        assert isinstance(handler, handlers.Norm)
        places = torch.arange(channels).repeat(width(node) // channels)
        behind = dict.fromkeys(self._ends(node, places))  # both tokens have one head
        layers = [self._linear(end) for end in behind if isinstance(end, nodes.Linear)]
        if node in self._graph.outputs or len(layers) < len(behind):
            raise _Lost
        return handler.norm, layers

    def _stream(self, stream: GraphStream) -> Stream:
        channels = width(stream.start)
        found = Stream(channels)
        links = {link.node for link in stream.links}
        if isinstance(stream.start, nodes.Concat):
            for part in stream.start.inputs:
                self._write(found, part, stream.start)
        else:
            self._write(found, stream.start, None)
        for link in stream.links:
            self._write(found, link.node.nodes[1 - link.carried], link.node)
        for value in (stream.start, *links):
            if value in self._graph.outputs:
                raise _Lost
            carried = [link for link in self._readers[value] if link in links]
            if not all(_carries(link, value, stream) for link in carried):
                raise _Lost
            for reader in self._ends(value, torch.arange(channels), links):
                if isinstance(reader, nodes.Norm):
                    found.readers.append(self._norm(reader, channels))
                else:
                    found.readers.append((None, [self._linear(reader)]))
        return found

    def _write(self, found: Stream, value: Node | Const, reader: Node | None) -> None:
        """Follow a value back to the layers that write it."""
        if isinstance(value, Const):
            assert reader is not None
            found.constants.append(self._constant(reader, value))
            return
        source, chain = split_chain(value, nodes.Move, nodes.Scale)
        way = [source, *chain, *([] if reader is None else [reader])]
        alone = all(self._readers[node] == [after] for node, after in pairwise(way))
        if not alone or width(source) != found.channels or not keeps_channels(value):
            raise _Lost
        factors = [self._factor(node) for node in chain if isinstance(node, nodes.Scale)]
        scales = [factor for factor in factors if isinstance(factor, Constant)]
        if isinstance(source, nodes.Linear):
            found.writers.append((self._linear(source), scales))
        elif isinstance(source, nodes.Add) and not scales:
            for part in source.inputs:
                self._write(found, part, source)
        else:
            raise _Lost

    def _ends(
        self, value: Node, places: Tensor, links: Collection[Node] | None = None
    ) -> Iterator[nodes.Norm | nodes.Linear]:
        """The norms and layers that read a value, through means and moves, and nothing else may.

        Args:
            value: what is read.
            places: the channels of its last axis, int64, all in order once or several times.
            links: of a stream, which may read it, too; None of a norm, of which several tokens
                may be put side by side, each of them on its way.
        """
        channels = int(places.max()) + 1
        for reader in self._readers[value]:
            if links is not None and reader in links:
                continue
            after = moved(reader, places) if isinstance(reader, nodes.Move) else places
            if isinstance(reader, nodes.Norm) or nodes.reads_channels(reader):
                yield reader
            elif (
                isinstance(reader, nodes.Mean | nodes.Move)
                or (links is None and _is_side_by_side(reader))
            ) and _side_by_side(after, channels):
                if reader in self._graph.outputs:  # which would stay as it is in between
                    raise _Lost
                yield from self._ends(reader, after, links)
            else:
                raise _Lost

    def _rows(self, value: Node) -> tuple[Places, bool]:
        """The layer that makes queries, keys or values, and each head's outputs.

        And whether these are neither normalised nor turned on the way.
        """
        source, chain = split_chain(value, nodes.Move, nodes.Norm, nodes.Rope)
        if not nodes.reads_channels(source):
            raise _Lost
        places = moved_along(chain, torch.arange(width(source)))
        plain = all(isinstance(node, nodes.Move) for node in chain)
        return (self._linear(source), _per_head(places, width(value))), plain

    def _columns(self, node: nodes.Attention) -> Places:
        """The layer that reads the heads, and which of its inputs each head is."""
        heads, depth = node.shape[-3], width(node)
        ahead = chain_to(nodes.Linear, node, self._graph)
        if ahead is None or not isinstance(heads, int):
            raise _Lost
        chain, reader = ahead
        places = moved_along(chain, torch.arange(heads * depth).reshape(heads, 1, depth))
        if places.ndim != 1 or len(places.unique()) != len(places):
            raise _Lost
        return self._linear(reader), places.argsort().reshape(heads, depth)

    def _factor(self, node: nodes.Scale) -> Constant | float:
        handler = self._handlers[node]
        assert isinstance(handler, handlers.Scale)
        if handler.quantizer is not None:
            raise _Lost
        return handler.factor

    def _linear(self, node: nodes.Linear) -> QuantLinear:
        handler = self._handlers[node]
        assert isinstance(handler, handlers.Linear)
        return handler.linear

    def _constant(self, node: Node, const: Const) -> Constant:
        handler = self._handlers[node]
        if isinstance(handler, handlers.Concat):
            part = handler.parts[node.inputs.index(const)]
            assert part is not None
            return part
        assert isinstance(handler, handlers.Add) and handler.constant is not None
        return handler.constant


def _carries(reader: Node, value: Node, stream: GraphStream) -> bool:
    """Whether an addition reads a value as the stream, not as a branch."""
    return any(
        link.node is reader and origin(reader.nodes[link.carried]) is value for link in stream.links
    )


def _is_side_by_side(node: Node) -> bool:
    """Whether a node joins channels."""
    return isinstance(node, nodes.Concat) and node.axis == len(node.shape) - 1


def _side_by_side(places: Tensor, channels: int) -> bool:
    """Whether the last axis has all channels in order, once or several times."""
    return places.ndim == 1 and torch.equal(
        places, torch.arange(channels).repeat(len(places) // channels)
    )


def _per_head(places: Tensor, width: int) -> Tensor:
    if places.numel() % width or places.numel() == 1:
        raise _Lost
    rows = places.reshape(-1, width)
    if len(rows.unique()) != rows.numel():
        raise _Lost
    return rows
