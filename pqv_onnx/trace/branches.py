"""Parallel branches of a residual link: each gets a link of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.nodes import Add, Node, Scale
from pqv_onnx.trace.streams import origin


def branches(node: Node, uses: Callable[[Node], int]) -> Node | None:
    """x + c * (a + b) becomes (x + c * a) + c * b, if a and b are computed from x.

    Then a branch of any number of parts is a chain of links, each with one wide input.
    """
    if not isinstance(node, Add) or len(node.nodes) != 2:
        return None
    for base, value in (node.nodes, node.nodes[::-1]):
        scales: list[Scale] = []
        while isinstance(value, Scale) and uses(value) <= 1:
            scales.append(value)
            value = value.nodes[0]
        if isinstance(value, Add) and uses(value) <= 1 and _are_branches(value, base):
            return _chain(node, base, value, scales)
    return None


def _chain(node: Add, base: Node, value: Add, scales: list[Scale]) -> Node:
    total = base
    for part in value.nodes:
        for scale in reversed(scales):
            part = replace(scale, inputs=(part,), shape=part.shape)
        total = Add(node.path, (total, part), node.shape)
        # A branch may be a sum itself.
        total = branches(total, lambda _: 1) or total
    return total


def _are_branches(value: Add, base: Node) -> bool:
    """Whether both inputs come from ``base``, and none from the other or from moves alone."""
    if len(value.nodes) < 2:
        return False
    stem = origin(base)
    first, second = value.nodes
    if any(origin(part) is stem or not _comes_from(part, stem) for part in value.nodes):
        return False
    return not _comes_from(first, origin(second)) and not _comes_from(second, origin(first))


def _comes_from(node: Node, ancestor: Node) -> bool:
    """Whether ``node`` is ``ancestor`` or computed from it."""
    return ancestor in Graph.of(node).nodes
