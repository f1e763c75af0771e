"""What the handlers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.layers import Constant
from pqv_onnx.qat.quantizers import ActivationQuantizer, Quantizer
from pqv_onnx.trace.nodes import Node

if TYPE_CHECKING:
    from pqv_onnx.qat.assembly import Assembly

Value = Tensor | Sums
"""What handlers give each other."""

N = TypeVar("N", bound=Node)


class Handler(ABC, Generic[N]):
    """A node as training computes it.

    Attributes:
        node: the node.
        modules: what its state is in, in the order in which they were made.
        grid: of the result; None if it is the sums of a matmul.
        readers: what narrows each input that is sums, in the order of ``node.nodes``; None where
            nothing has to.
    """

    grid: Grid | None = None
    modules: list[nn.Module]

    def __init__(self, node: N, assembly: Assembly) -> None:
        """Make the modules of ``node``, uncalibrated and of zeros.

        Raises:
            PqvError: the node cannot be quantized; the sentence begins with its path.
        """
        self.node = node
        self.modules = assembly.made = []
        self.readers: list[Quantizer | None] = [None] * len(node.nodes)

    @abstractmethod
    def __call__(self, *inputs: Value) -> Value:
        """Compute the node; ``inputs`` are its inputs that depend on the image."""

    def narrowed(self, inputs: tuple[Value, ...]) -> list[Tensor]:
        """The inputs, sums narrowed by their readers."""
        found: list[Tensor] = []
        for x, quantizer in zip(inputs, self.readers, strict=True):
            if isinstance(x, Sums):
                assert quantizer is not None
                x = quantizer(x.real, x.in_steps)
            found.append(x)
        return found

    def source_of(self, place: int, assembly: Assembly, name: str) -> Grid:
        """The grid of an input; sums are narrowed to 8 bits by a new quantizer of that name."""
        source = assembly.grid(self.node.inputs[place])
        if source is None:
            reader = assembly.add(f"{self.node.path}.{name}", ActivationQuantizer(8))
            before = sum(isinstance(value, Node) for value in self.node.inputs[:place])
            self.readers[before], source = reader, Grid.of(reader)
        return source

    def refuse(self, found: str) -> PqvError:
        """What to raise if the node cannot be quantized."""
        return PqvError(f"{self.node.path or 'model'}: {found} is not supported")

    def set_constants(self, values: list[Tensor]) -> None:
        """Take the values of the node's constants, in the order of ``node.consts``."""
        for target, value in zip(self.constants(), values, strict=True):
            target.data.copy_(value.reshape(target.shape))

    def constants(self) -> list[Tensor]:
        """Where the node's constants are, in the order of ``node.consts``."""
        return [module.value for module in self.modules if isinstance(module, Constant)]


def one_step(handler: Handler[N], grid: Grid) -> Grid:
    """``grid``, if all its channels have one step; else what to say of it is raised."""
    if grid.ratios is not None:
        raise handler.refuse("this use of a residual stream with a step per channel")
    return grid
