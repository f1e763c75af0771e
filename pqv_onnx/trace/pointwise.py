"""Activations that are written as a product of a value and a function of it."""

from __future__ import annotations

from collections.abc import Callable

from pqv_onnx.trace.nodes import Activation, Gate, Node, Scale
from pqv_onnx.trace.values import Const


def pointwise(node: Node, uses: Callable[[Node], int]) -> Node | None:
    """x * sigmoid(c * x) becomes silu(c * x) / c: QuickGELU with c = 1.702, SiLU with 1."""
    if not isinstance(node, Gate):
        return None
    for x, gate in (node.nodes, node.nodes[::-1]):
        if not isinstance(gate, Activation) or gate.function != "sigmoid":
            continue
        source, factor = gate.nodes[0], gate.factor
        if source is not x and isinstance(source, Scale) and not isinstance(source.by, Const):
            factor, source = source.by, source.nodes[0]
        if source is x and factor:
            return Activation(node.path, (x,), node.shape, "silu", factor)
    return None
