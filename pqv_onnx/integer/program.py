"""The calls of an integer model while they are made."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from pqv_onnx.errors import PqvError
from pqv_onnx.integer.model import Call
from pqv_onnx.integer.moves import Apply, Moves, open_shape
from pqv_onnx.qat.assembly import Branch
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.maps import keeps_order
from pqv_onnx.trace.nodes import Move, Node, Scale
from pqv_onnx.trace.values import Shape


class Program:
    """The calls made so far, and which of them gives each node's integers.

    Attributes:
        graph: what is converted.
        body: holds the modules under their names.
        calls: in order.
        values: the number of each node's integers: 0 is the image, i the result of the i-th call.
        shapes: of the values.
    """

    def __init__(self, graph: Graph) -> None:
        """Begin with the image."""
        self.graph, self.body = graph, Branch()
        self.calls: list[Call] = []
        self.values: dict[Node, int] = {graph.input: 0}
        self.shapes: list[Shape] = [graph.input.shape]

    def call(self, name: str, module: nn.Module, inputs: Sequence[int], shape: Shape) -> int:
        """Add a call of a new module, and give the number of its result, which has ``shape``."""
        self.calls.append(Call(self._place(name.lstrip("."), module), tuple(inputs)))
        self.shapes.append(shape)
        return len(self.calls)

    def _place(self, name: str, module: nn.Module) -> str:
        """Put a module under a name, or the next free one; what is below that stays below it."""
        *path, last = name.split(".")
        parent: nn.Module = self.body
        for part in path:
            if part not in dict(parent.named_children()):
                parent.add_module(part, Branch())
            parent = parent.get_submodule(part)
        free, count = last, 1
        while isinstance(old := dict(parent.named_children()).get(free), nn.Module):
            if type(old) is Branch and not set(dict(old.named_children())) & set(
                dict(module.named_children())
            ):
                for child, below in old.named_children():
                    module.add_module(child, below)
                break
            count += 1
            free = f"{last}_{count}"
        parent.add_module(free, module)
        return ".".join([*path, free])

    def value(self, node: Node) -> int:
        """The number of a node's integers, in its shape."""
        return self.reshaped(self.tokens(node), node.shape, node.path)

    def tokens(self, node: Node) -> int:
        """The same for an op that computes token by token: other axes may be split or joined."""
        chain: list[Move] = []
        source = node
        while source not in self.values:
            if isinstance(source, Move):
                chain.insert(0, source)
            elif not isinstance(source, Scale):
                raise PqvError(f"{source.kind} has no integers of its own")
            source = source.nodes[0]
        if not keeps_order(source, chain) or source.shape[-1] != node.shape[-1]:
            x = self.value(source)
            self.values[node] = self.call(f"{node.path}.move", Moves(chain), [x], node.shape)
            source = node
        return self.values[source]

    def reshaped(self, x: int, shape: Shape, path: str) -> int:
        """A value in another shape."""
        if self.shapes[x] == shape:
            return x
        sizes = open_shape(shape)
        return self.call(f"{path}.move", Apply(lambda x: x.reshape(sizes)), [x], shape)
