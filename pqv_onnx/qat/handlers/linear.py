"""Matmuls with constant weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.handlers.base import Handler, Value
from pqv_onnx.qat.layers import QuantDistilledHead, QuantLinear, to_patches
from pqv_onnx.trace import nodes
from pqv_onnx.trace.maps import fan_in, width

if TYPE_CHECKING:
    from pqv_onnx.qat.assembly import Assembly


class Linear(Handler[nodes.Linear]):
    """A matmul; as the first value of a residual stream its sums are narrowed at once.

    Attributes:
        linear: the layer.
        source: the grid of its input.
        quantizer: of the residual stream that it starts, if it does.
    """

    linear: QuantLinear

    def __init__(self, node: nodes.Linear, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        self.source = source = self.source_of(0, assembly, "input_quantizer")
        layer = self._layer(fan_in(node), width(node), assembly)
        self.linear = assembly.add(assembly.path(node), layer)
        if source.exponent is not None:
            if source.exponent.numel() != fan_in(node):
                raise self.refuse("a linear layer of moved channels with different steps")
            self.linear.source = source
        self.quantizer = assembly.stream_start(node)
        self.grid = None if self.quantizer is None else Grid.of(self.quantizer)

    def _layer(self, inputs: int, outputs: int, assembly: Assembly) -> QuantLinear:
        bits = assembly.weight_bits(self.node)
        return QuantLinear(inputs, outputs, bits, self.node.bias is not None)

    def __call__(self, *inputs: Value) -> Value:
        (x,) = self.narrowed(inputs)
        if self.node.kernel is not None:
            x = to_patches(x, self.node.kernel)
        sums: Sums = self.linear(x, self.source.step)
        if self.quantizer is None:
            return sums
        return self.quantizer(sums.real, sums.in_steps)

    def constants(self) -> list[Tensor]:
        weight, bias = self.linear.weight, self.linear.bias
        return [weight] if bias is None else [weight, bias]


class Heads(Linear):
    """Both classifiers of a distilled model.

    Attributes:
        apart: whether training sees the logits of each.
    """

    apart = False
    linear: QuantDistilledHead

    def _layer(self, inputs: int, outputs: int, assembly: Assembly) -> QuantLinear:
        return QuantDistilledHead(inputs, outputs, assembly.weight_bits(self.node))

    def __call__(self, *inputs: Value) -> Value:
        if self.apart and self.linear.training:
            (x,) = self.narrowed(inputs)
            return self.linear.apart(x)
        return super().__call__(*inputs)

    def constants(self) -> list[Tensor]:
        return [*super().constants(), self.linear.difference]
