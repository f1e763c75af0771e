"""A model as nodes: their order, who reads whom, and rewriting by rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from pqv_onnx.trace.nodes import Input, Node
from pqv_onnx.trace.streams import Segment, Stream, find_segments, find_streams
from pqv_onnx.trace.values import Const

Rule = Callable[[Node, Callable[[Node], int]], Node | None]
"""Gives what takes a node's place, or None; asks how many nodes read a node."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which each comes after its inputs; the last is an output.

    Attributes:
        nodes: what the outputs need, and nothing else.
        outputs: the model's results.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def __deepcopy__(self, memo: object) -> Graph:
        """The graph itself, which never changes."""
        return self

    @classmethod
    def of(cls, *outputs: Node) -> Graph:
        """The graph of all that ``outputs`` need."""
        return cls(tuple(_ordered(outputs)), outputs)

    @property
    def input(self) -> Input:
        """The images."""
        return next(node for node in self.nodes if isinstance(node, Input))

    @property
    def output(self) -> Node:
        """The model's result; the last, if there are several."""
        return self.outputs[-1]

    @cached_property
    def readers(self) -> dict[Node, list[Node]]:
        """The nodes that read each node, in order; one that reads it twice is there twice."""
        found: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for value in node.nodes:
                found[value].append(node)
        return found

    def names(self) -> set[str]:
        """The parameters and buffers that the nodes read, by timm's names."""
        return {name for node in self.nodes for const in node.consts for name in const.names()}

    def rewrite(self, rule: Rule) -> Graph:
        """The graph in which ``rule`` has replaced nodes, in order, so inputs before readers."""
        uses: Counter[Node] = Counter()
        made: dict[Node, Node] = {}

        def renew(value: Node | Const) -> Node | Const:
            return made[value] if isinstance(value, Node) else value

        for node in self.nodes:
            inputs = tuple(map(renew, node.inputs))
            same = all(new is old for new, old in zip(inputs, node.inputs, strict=True))
            renewed = node if same else replace(node, inputs=inputs)
            made[node] = rule(renewed, uses.__getitem__) or renewed
            uses[made[node]] += len(self.readers[node])
        return Graph.of(*(made[output] for output in self.outputs))

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """The residual streams, in the order of their first values."""
        return find_streams(self.nodes)

    def segments(self) -> tuple[Segment, ...]:
        """The parts between the points of the streams at which one value is live."""
        return find_segments(self.nodes, self.streams)


def _ordered(outputs: Iterable[Node]) -> list[Node]:
    """``outputs`` and all behind them, inputs first; no recursion, as models are deep."""
    ordered: dict[Node, None] = {}
    for output in outputs:
        stack = [(output, iter(output.nodes))]
        while stack:
            node, rest = stack[-1]
            following = next((value for value in rest if value not in ordered), None)
            if following is not None:
                stack.append((following, iter(following.nodes)))
            else:
                ordered[node] = None
                stack.pop()
    return list(ordered)
