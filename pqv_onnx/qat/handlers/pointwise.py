"""Norms, functions, sums and products: what keeps every element in its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pqv_onnx.qat import exact
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.handlers.base import Handler, Value, one_step
from pqv_onnx.qat.layers import (
    Constant,
    QuantActivation,
    QuantizedConstant,
    QuantNorm,
    quantize_constant,
)
from pqv_onnx.qat.quantizers import ActivationQuantizer, Quantizer, ResidualQuantizer
from pqv_onnx.trace import nodes
from pqv_onnx.trace.maps import width
from pqv_onnx.trace.nodes import Node
from pqv_onnx.trace.values import Const

if TYPE_CHECKING:
    from pqv_onnx.qat.assembly import Assembly


class Norm(Handler[nodes.Norm]):
    """A norm of codes; sums of a matmul are narrowed to 8 bits in front of it."""

    grid: Grid

    def __init__(self, node: nodes.Norm, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        channels, residual = width(node), assembly.spec.residual
        quantizer: Quantizer
        if assembly.starts_stream(node):
            quantizer = ResidualQuantizer(residual, channels)
        else:
            quantizer = ActivationQuantizer(assembly.norm_bits(node))
        source = assembly.grid(node.inputs[0])
        before = None if source is not None else ResidualQuantizer(residual, channels)
        eps = (node.eps or 1e-12) if node.of != "l2" else 1e-12
        norm = QuantNorm(node.of, channels, eps, quantizer, before)
        self.norm = assembly.add(assembly.path(node, "norm"), norm)
        self.readers = [before]
        self.source = source if before is None else Grid.of(before)
        self.grid = Grid.of(quantizer)

    def __call__(self, *inputs: Value) -> Tensor:
        (x,) = self.narrowed(inputs)
        assert self.source is not None
        return self.norm(x, self.source.step)

    def constants(self) -> list[Tensor]:
        named = ((self.node.weight, self.norm.weight), (self.node.bias, self.norm.bias))
        return [tensor for const, tensor in named if const is not None and tensor is not None]


class Activation(Handler[nodes.Activation]):
    """A function of the sums of a matmul, which has an 8-bit input: a table."""

    grid: Grid

    def __init__(self, node: nodes.Activation, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        if assembly.grid(node.inputs[0]) is not None:
            raise self.refuse(f"{node.function} of what no linear layer gives")
        spec = assembly.spec
        written = assembly.hidden(node, spec.gelu)
        layer = QuantActivation(node.function, node.factor, spec.pre_gelu, written)
        self.layer = assembly.add(assembly.path(node, "act"), layer)
        self.readers = [layer.input_quantizer]
        self.grid = Grid.of(layer.quantizer)

    def __call__(self, *inputs: Value) -> Tensor:
        return self.layer(*inputs)


class Gate(Handler[nodes.Gate]):
    """The product of two values of 8 bits."""

    grid: Grid

    def __init__(self, node: nodes.Gate, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        sources = [self.source_of(place, assembly, "factor") for place in range(2)]
        self.sources = [one_step(self, source) for source in sources]
        bits = assembly.hidden(node, assembly.spec.gelu).bits
        self.quantizer = assembly.add(f"{node.path}.gate", ActivationQuantizer(bits))
        self.grid = Grid.of(self.quantizer)

    def __call__(self, *inputs: Value) -> Tensor:
        a, b = self.narrowed(inputs)
        op = partial(exact.gate, a, b, *(source.step for source in self.sources))
        return self.quantizer(a * b, op)


class Scale(Handler[nodes.Scale]):
    """A factor of the sums of a matmul, or one per channel: part of their unit."""

    def __init__(self, node: nodes.Scale, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        if assembly.grid(node.inputs[0]) is not None:
            raise self.refuse("a factor of what no linear layer gives")
        self.factor: Constant | float
        if isinstance(node.by, Const):
            self.factor = assembly.constant(assembly.path(node, "scale"), node.by)
        else:
            self.factor = node.by

    def __call__(self, *inputs: Value) -> Sums:
        (sums,) = inputs
        assert isinstance(sums, Sums)
        by = self.factor.value if isinstance(self.factor, Constant) else self.factor
        return sums._replace(real=sums.real * by, unit=(sums.unit * by).detach())

    def constants(self) -> list[Tensor]:
        return [self.factor.value] if isinstance(self.factor, Constant) else []


class Add(Handler[nodes.Add]):
    """A sum of what a matmul gives and of codes, or of two values in codes.

    Attributes:
        branch: which input is the sums of a matmul; None if none is.
        sources: the grids of the inputs.
        constant: what is added, if it is constant.
        quantizer: of the sum; None if whoever reads it narrows it.
    """

    def __init__(self, node: nodes.Add, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        self.sources = [assembly.grid(value) for value in node.inputs]
        wide = [
            place
            for place, value in enumerate(node.inputs)
            if isinstance(value, Node) and self.sources[place] is None
        ]
        if len(wide) > 1:
            raise self.refuse("a sum of two linear layers")
        self.branch = wide[0] if wide else None
        self.constant: Constant | None = None
        for value in node.inputs:
            if isinstance(value, Const):
                self.constant = assembly.constant(assembly.path(node, "added"), value)
        self.quantizer = assembly.stream_value(node)
        if self.quantizer is None and self.branch is None:
            self.quantizer = assembly.residual(node, node.path, "sum")
        if self.quantizer is not None:
            self.grid = Grid.of(self.quantizer)
            assembly.limit(self.quantizer, self.largest_step)
        elif not assembly.is_joined(node):
            raise self.refuse("a constant that is added to a linear layer's outputs")

    def quantized_constant(self) -> QuantizedConstant:
        """The codes of the constant that is added."""
        assert self.constant is not None
        return quantize_constant(self.constant.value)

    def steps(self) -> list[Tensor]:
        """Steps of what is added in codes, float64, in the order of the inputs."""
        return [
            self.quantized_constant().channel_step if source is None else source.channel_step
            for place, source in enumerate(self.sources)
            if place != self.branch
        ]

    def largest_step(self) -> Tensor:
        """The largest of those steps in each channel."""
        steps = self.steps()
        return steps[0] if len(steps) == 1 else torch.maximum(*steps)

    def __call__(self, *inputs: Value) -> Value:
        terms = list(inputs)
        if self.constant is not None:
            place = next(i for i, v in enumerate(self.node.inputs) if isinstance(v, Const))
            terms.insert(place, self.quantized_constant().real)
        if self.branch is None:
            return self._sum_of_codes(*terms)
        sums, real = terms[self.branch], terms[1 - self.branch]
        assert isinstance(sums, Sums) and isinstance(real, Tensor)
        (step,) = self.steps()
        codes = exact.to_codes(real, step)
        total = sums._replace(real=real + sums.real, added=(codes, step))
        if self.quantizer is None:
            return total
        return self.quantizer(total.real, total.in_steps)

    def _sum_of_codes(self, a: Value, b: Value) -> Tensor:
        assert isinstance(a, Tensor) and isinstance(b, Tensor) and self.quantizer is not None
        return self.quantizer(a + b, partial(exact.add, a, b, *self.steps()))

    def constants(self) -> list[Tensor]:
        return [] if self.constant is None else [self.constant.value]
