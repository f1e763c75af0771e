"""Nodes of standard ops in front of an exported graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

Shape = Sequence[int | str | None]
_INT64 = ir.DataType.INT64
SIDES = ir.Shape([2])
"""Of what holds a height and a width."""


class Nodes:
    """Nodes of a front end: each named for what it gives, with the type and shape of that."""

    def __init__(self, name: str) -> None:
        """With the front end's name, which begins all others."""
        self.name = name
        self.tape = ir.tape.Tape()

    def constant(self, name: str, values: Sequence[Any], dtype: Any = np.int64) -> ir.Value:
        """A list of numbers, or of lists."""
        return self.tape.initializer(ir.tensor(np.array(values, dtype)), f"{self.name}.{name}")

    def add(
        self,
        name: str,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        shape: Shape | ir.Shape,
        dtype: ir.DataType = _INT64,
        domain: str = "",
        **attributes: Any,
    ) -> ir.Value:
        """A node, and what it gives."""
        name = f"{self.name}.{name}"
        output = ir.val(name, dtype, shape)
        return self.tape.op(op_type, inputs, attributes, domain=domain, name=name, output=output)

    def divided(self, name: str, dividend: ir.Value, divisor: ir.Value) -> ir.Value:
        """A quotient of two numbers for each side."""
        assert dividend.dtype is not None
        return self.add(name, "Div", [dividend, divisor], SIDES, dividend.dtype)

    def product(self, name: str, left: ir.Value, right: ir.Value) -> ir.Value:
        """A product of two numbers for each side."""
        return self.add(name, "Mul", [left, right], SIDES)

    def replace_input(self, graph: ir.Graph, new: ir.Value, found: ir.Value) -> None:
        """Let a graph take ``new``, and compute ``found`` of it, which is what it took before."""
        (old,) = graph.inputs
        ir.convenience.replace_all_uses_with(old, found)
        graph.inputs[:] = [new]
        found.name = old.name
        graph.insert_before(graph[0], self.tape.nodes)
        for constant in self.tape.initializers:
            graph.register_initializer(constant)
