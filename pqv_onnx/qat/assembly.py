"""A graph's handlers, and the modules with their state under names as in timm."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TypeVar

from torch import nn

from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.handlers import HANDLERS, Handler
from pqv_onnx.qat.layers import Constant
from pqv_onnx.qat.quantizers import GROUPS, ResidualQuantizer
from pqv_onnx.spec import QuantSpec, TensorSpec
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.maps import width
from pqv_onnx.trace.nodes import (
    Add,
    Attention,
    Concat,
    Gate,
    Heads,
    Linear,
    Mean,
    Move,
    Node,
    Norm,
    Scale,
    reads_channels,
)
from pqv_onnx.trace.store import Stored
from pqv_onnx.trace.streams import origin
from pqv_onnx.trace.values import Const, resolved

M = TypeVar("M", bound=nn.Module)

_CARRIES = (Norm, Mean, Move, Concat, Scale)
"""What may stand between the last residual stream and the output."""


class Branch(nn.Module):
    """What is under one name; it has no state of its own."""


class Assembly:
    """Makes handlers one after the other, and tells them what the graph says of their nodes.

    Attributes:
        handlers: those made so far.
        made: where `add` notes modules, of the handler that is being made.
    """

    def __init__(self, root: nn.Module, graph: Graph, spec: QuantSpec) -> None:
        """Put modules into ``root``.

        Raises:
            PqvError: a node cannot be quantized; the sentence begins with its path.
        """
        self.spec, self._root, self._graph = spec, root, graph
        self._streams = graph.streams
        self._starts = {stream.start for stream in self._streams}
        self._links = {link.node for stream in self._streams for link in stream.links}
        self._readers = graph.readers
        self._final = _final(graph, self._readers)
        self._paths = {node.path for node in graph.nodes}
        self._added: Counter[str] = Counter()
        self.handlers: dict[Node, Handler[Node]] = {}
        self.made: list[nn.Module] = []
        for node in graph.nodes:
            self.handlers[node] = HANDLERS[type(node)](node, self)

    def grid(self, value: Node | Const) -> Grid | None:
        """Of a value; None for the sums of a matmul, and for constants."""
        return self.handlers[value].grid if isinstance(value, Node) else None

    def is_final(self, node: Node) -> bool:
        """Whether only the head reads it."""
        return node in self._final

    def is_head(self, node: Node) -> bool:
        """Whether it is the layer that gives the output."""
        return isinstance(node, Linear) and node in self._final

    def weight_bits(self, node: Linear) -> int:
        """Of a linear layer's weights, but for what the spec says of single layers."""
        if node.kernel is not None:
            return self.spec.patch_weight.bits
        return (self.spec.head_weight if self.is_head(node) else self.spec.weight).bits

    def starts_stream(self, node: Node) -> bool:
        """Whether it is the first value of a residual stream."""
        return node in self._starts

    def stream_start(self, node: Linear) -> ResidualQuantizer | None:
        """A quantizer for a layer that is the first value of a residual stream."""
        if not self.starts_stream(node):
            return None
        return self.residual(node, node.path.rpartition(".")[0], "residual")

    def stream_value(self, node: Add | Concat) -> ResidualQuantizer | None:
        """A quantizer for a value of a residual stream."""
        if node in self._links:
            self._added[node.path] += 1
            return self.residual(node, node.path, f"residual{self._added[node.path]}")
        return self.residual(node, node.path, "residual") if node in self._starts else None

    def sum(self, node: Add) -> ResidualQuantizer:
        """A quantizer of a sum that is no value of a stream: one step, wherever it is moved."""
        spec = replace(self.spec.residual, scheme="per-tensor")
        return self.add(f"{node.path}.sum", ResidualQuantizer(spec, width(node)))

    def residual(self, node: Node, path: str, name: str) -> ResidualQuantizer:
        """A quantizer of a node's sums or sum."""
        return self.add(f"{path}.{name}", ResidualQuantizer(self.spec.residual, width(node)))

    def path(self, node: Node, default: str = "layer") -> str:
        """Where to put a node's module: at its path, unless others are below or there."""
        taken = any(path.startswith(f"{node.path}.") for path in self._paths)
        if node.path and not taken and not hasattr(self._parent(node.path), _last(node.path)):
            return node.path
        return f"{node.path}.{default}"

    def norm_bits(self, node: Node) -> int:
        """Of a norm's output, by what reads it."""
        if self.is_final(node):
            return self.spec.final_norm.bits
        readers = self._read_by(node)
        if all(isinstance(reader, Linear) for reader in readers):
            return self.spec.norm.bits
        return self.spec.qkv.bits if all(isinstance(r, Attention) for r in readers) else 8

    def hidden(self, node: Node, spec: TensorSpec) -> TensorSpec:
        """``spec`` for what linear layers read; 8 bits for what is computed with further.

        Linear layers and gates alone know of codes that are not zero at zero; linear layers that
        read it as it is, of steps that differ.
        """
        if node in self._graph.outputs:  # whose border takes no zero point off
            return TensorSpec(8, "symmetric")
        direct = all(reads_channels(reader) for reader in self._readers[node])
        if spec.scheme == "grouped" and (not direct or width(node) % GROUPS):
            spec = replace(spec, scheme="asymmetric")
        readers = self._read_by(node)
        if all(isinstance(reader, Linear) for reader in readers):
            return spec
        if all(isinstance(reader, Linear | Gate) for reader in readers):
            return replace(spec, bits=8)
        return TensorSpec(8, "symmetric")

    def is_joined(self, node: Node) -> bool:
        """Whether only a concatenation reads a value."""
        return all(isinstance(reader, Concat) for reader in self._readers[node])

    def is_alone(self, value: Node | Const) -> bool:
        """Whether nobody else reads what was moved and scaled to ``value``, or a part of it."""
        return isinstance(value, Node) and (
            len(self._readers[value]) == 1
            and (not isinstance(value, Move | Scale) or self.is_alone(value.nodes[0]))
        )

    def is_shared(self, value: Node | Const) -> bool:
        """Whether the matmul behind a value also gives what is not read by attention.

        A matmul has one width of outputs, which is then 8 bits.
        """
        if not isinstance(value, Node):
            return False
        behind = self._read_by(origin(value))
        return not all(isinstance(reader, Attention) for reader in behind)

    def _read_by(self, node: Node) -> list[Node]:
        """The nodes that read a value, through moves but for those that add zeros."""
        found: list[Node] = []
        for reader in self._readers[node]:
            moves = isinstance(reader, Move) and reader.function != "pad"
            found += self._read_by(reader) if moves else [reader]
        return found

    def constant(
        self, name: str, const: Const, trained: bool = True, named: bool = True
    ) -> Constant:
        """A module for a constant, called after the parameter that it comes from, if ``named``."""
        hint = const.source if named and isinstance(const.source, str) else ""
        trained = trained and (not isinstance(const, Stored) or const.trained)
        return self.add(hint or name, Constant(resolved(const.shape), trained))

    def add(self, name: str, module: M) -> M:
        """Put a module under a name, or the next free one."""
        name = name.lstrip(".")
        parent, last, count = self._parent(name), _last(name), 1
        free = last
        while hasattr(parent, free):
            count += 1
            free = f"{last}_{count}"
        parent.add_module(free, module)
        self.made.append(module)
        return module

    def _parent(self, name: str) -> nn.Module:
        module = self._root
        for part in name.split(".")[:-1]:
            if not hasattr(module, part):
                module.add_module(part, Branch())
            module = getattr(module, part)
        return module


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _keeps_direction(node: Node) -> bool:
    """Whether the layer in front of it still is the one that gives the output."""
    return isinstance(node, Move | Scale) or (isinstance(node, Norm) and node.of == "l2")


def _final(graph: Graph, readers: dict[Node, list[Node]]) -> set[Node]:
    """The nodes whose value only reaches the outputs through each other, and the outputs."""
    final = set(graph.outputs)
    for node in reversed(graph.nodes[:-1]):
        behind = readers[node]
        passes = isinstance(node, _CARRIES) or (
            isinstance(node, Linear | Heads) and all(map(_keeps_direction, behind))
        )
        if passes and all(reader in final for reader in behind):
            final.add(node)
    return final
