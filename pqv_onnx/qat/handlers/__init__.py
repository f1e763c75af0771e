"""How training computes each kind of node: on codes, as the integer ops do.

A value between two handlers is real and float32, multiples of the steps of its ``Grid``, or the
``Sums`` of a matmul, which whoever reads them narrows.
"""

from __future__ import annotations

from typing import Any

from pqv_onnx.qat.handlers.attention import Attention, Rope
from pqv_onnx.qat.handlers.base import Handler, Value
from pqv_onnx.qat.handlers.linear import Heads, Linear
from pqv_onnx.qat.handlers.pointwise import Activation, Add, Gate, Norm, Scale
from pqv_onnx.qat.handlers.tokens import Concat, Input, Max, Mean, Move
from pqv_onnx.trace import nodes
from pqv_onnx.trace.nodes import Node

HANDLERS: dict[type[Node], type[Handler[Any]]] = {
    nodes.Input: Input,
    nodes.Linear: Linear,
    nodes.Heads: Heads,
    nodes.Norm: Norm,
    nodes.Attention: Attention,
    nodes.Rope: Rope,
    nodes.Activation: Activation,
    nodes.Gate: Gate,
    nodes.Scale: Scale,
    nodes.Add: Add,
    nodes.Concat: Concat,
    nodes.Mean: Mean,
    nodes.Max: Max,
    nodes.Move: Move,
}
"""The handler of each kind of node."""

__all__ = [
    "HANDLERS",
    "Activation",
    "Add",
    "Attention",
    "Concat",
    "Gate",
    "Handler",
    "Heads",
    "Input",
    "Linear",
    "Max",
    "Mean",
    "Move",
    "Norm",
    "Rope",
    "Scale",
    "Value",
]
