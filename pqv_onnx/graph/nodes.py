"""Nodes of standard ops in front of an exported graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import ArrayLike

Shape = Sequence[int | str | ir.SymbolicDim | None]
_INT64 = ir.DataType.INT64
SIDES = ir.Shape([2])
"""Of what holds a height and a width."""


class Nodes:
    """Nodes of a front end: each named for what it gives, with the type and shape of that."""

    def __init__(self, name: str) -> None:
        """With the front end's name, which begins all others."""
        self.name = name
        self.tape = ir.tape.Tape()

    def constant(self, name: str, values: Any, dtype: Any = np.int64) -> ir.Value:
        """A number, a list of numbers, or one of lists."""
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
        output = ir.val(name, dtype, ir.Shape(shape))
        return self.tape.op(op_type, inputs, attributes, domain=domain, name=name, output=output)

    def elementwise(
        self,
        name: str,
        op_type: str,
        *inputs: ir.Value | ArrayLike,
        dtype: ir.DataType | None = None,
        **attributes: Any,
    ) -> ir.Value:
        """A node whose inputs are broadcast; numbers are of the type of the last one that is none.

        Args:
            name: of what it gives; numbers are named after it and their place.
            op_type: of ONNX.
            *inputs: values and numbers.
            dtype: of what it gives, if not that of the last value.
            **attributes: of the node.
        """
        last = [given for given in inputs if isinstance(given, ir.Value)][-1]
        assert last.dtype is not None
        values = [
            given
            if isinstance(given, ir.Value)
            else self.constant(f"{name}.{index}", given, last.dtype.numpy())
            for index, given in enumerate(inputs)
        ]
        shape = _broadcast(values)
        return self.add(name, op_type, values, shape, dtype or last.dtype, **attributes)

    def cast(self, name: str, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Numbers of another type."""
        return self.elementwise(name, "Cast", value, dtype=dtype, to=dtype)

    def reshape(self, name: str, value: ir.Value, sizes: Sequence[int]) -> ir.Value:
        """The same numbers in another shape, of which one size may be -1, for the rest."""
        assert value.dtype is not None
        shape = [None if size < 0 else size for size in sizes]
        return self.add(
            name, "Reshape", [value, self.constant(f"{name}.shape", sizes)], shape, value.dtype
        )

    def replace_input(self, graph: ir.Graph, new: ir.Value, found: ir.Value) -> None:
        """Let a graph take ``new``, and compute ``found`` of it, which is what it took before."""
        (old,) = graph.inputs
        ir.convenience.replace_all_uses_with(old, found)
        graph.inputs[:] = [new]
        found.name = old.name
        graph.insert_before(graph[0], self.tape.nodes)
        for constant in self.tape.initializers:
            graph.register_initializer(constant)


def _broadcast(values: Sequence[ir.Value]) -> Shape:
    """The shape of an elementwise node's output; dimensions that are not known are no 1."""
    shapes = [tuple(value.shape or ()) for value in values]
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return [next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True)]
