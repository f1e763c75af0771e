"""Every kind of node has what "Add a backbone" in CONTRIBUTING.md asks for."""

from __future__ import annotations

import pytest

from pqv_onnx.integer.convert import _CONVERTERS
from pqv_onnx.qat.handlers import HANDLERS
from pqv_onnx.trace import nodes
from pqv_onnx.trace.evaluate import _MEANINGS
from pqv_onnx.trace.nodes import Node

PATTERNS = {nodes.Product, nodes.Softmax, nodes.Negation}
"""Kinds that become part of others before anything is converted."""
NO_OP = {nodes.Input, nodes.Move}
"""Kinds that no integer op computes."""
KINDS = {
    kind
    for kind in vars(nodes).values()
    if isinstance(kind, type) and issubclass(kind, Node) and kind is not Node
} - PATTERNS


@pytest.mark.parametrize("kind", sorted(KINDS, key=lambda kind: kind.__name__))
def test_nothing_was_forgotten(kind: type[Node]) -> None:
    places = {
        "pqv_onnx/trace/evaluate.py: _MEANINGS": kind in _MEANINGS,
        "pqv_onnx/qat/handlers: HANDLERS": kind in HANDLERS,
        "pqv_onnx/integer/convert.py: _CONVERTERS": kind in _CONVERTERS or kind in NO_OP,
    }
    missing = [place for place, there in places.items() if not there]
    assert not missing, "missing: " + "; ".join(missing)
