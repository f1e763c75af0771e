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
from pqv_onnx.trace.maps import keeps_channels, sizes, width
from pqv_onnx.trace.nodes import Node
from pqv_onnx.trace.values import Const

if TYPE_CHECKING:
    from pqv_onnx.qat.assembly import Assembly


class Norm(Handler[nodes.Norm]):
    """A norm of codes; sums of a matmul are narrowed to 8 bits in front of it."""

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
        eps = torch.finfo(torch.float32).eps if node.eps is None else node.eps
        if node.of == "l2":  # the least norm, which is no part of a mean square
            eps = 0.0
        norm = QuantNorm(node.of, channels, max(eps, _SMALLEST), quantizer, before)
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

    def __init__(self, node: nodes.Activation, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        if assembly.grid(node.inputs[0]) is not None:
            raise self.refuse(f"{node.function} of what no linear layer gives")
        spec = assembly.spec
        written = assembly.hidden(node, spec.gelu)
        layer = QuantActivation(node.function, node.factor, spec.pre_gelu, written, width(node))
        self.layer = assembly.add(assembly.path(node, "act"), layer)
        self.readers = [layer.input_quantizer]
        self.grid = Grid.of(layer.quantizer)

    def __call__(self, *inputs: Value) -> Tensor:
        return self.layer(*inputs)


class Gate(Handler[nodes.Gate]):
    """The product of two values of 8 bits."""

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


_SMALLEST = 1e-12
"""What a factor of codes counts at least as: a layer may begin with zeros."""


class Scale(Handler[nodes.Scale]):
    """A factor of the sums of a matmul, or one per channel: part of their unit.

    What is in codes is multiplied: IntRotary without a rotation.

    Attributes:
        factor: a number, or one per channel.
        source: the grid of codes that are multiplied.
        quantizer: of their product.
    """

    def __init__(self, node: nodes.Scale, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        value = node.nodes[0]
        self.quantizer: Quantizer | None = None
        in_codes = assembly.grid(value) is not None
        by = node.by
        in_order = not isinstance(by, Const) or (
            keeps_channels(value) and all(size == 1 for size in by.shape[:-1])
        )
        if in_codes or not in_order:
            if width(node) % 2:
                raise self.refuse("a factor of codes of an odd number of channels")
            self.source = self.source_of(0, assembly, "input_quantizer")
            self.quantizer = assembly.add(f"{node.path}.scaled", ActivationQuantizer(8))
            self.grid = Grid.of(self.quantizer)
        self.factor: Constant | float
        if isinstance(node.by, Const):
            self.factor = assembly.constant(assembly.path(node, "scale"), node.by)
        else:
            self.factor = node.by

    @property
    def by(self) -> Tensor:
        """The factors, broadcast against the value."""
        if isinstance(self.factor, Constant):
            return self.factor.value
        return torch.tensor(self.factor, dtype=torch.float64)

    @property
    def _ratio(self) -> Tensor | float:
        """Steps of codes relative to the first, broadcast against the value."""
        exponent = self.source.exponent
        return 1.0 if exponent is None else torch.exp2(exponent.double())

    @property
    def largest(self) -> Tensor:
        """The size of the largest factor of codes, float64 []."""
        return (self.by.detach() * self._ratio).abs().max().clamp_min(_SMALLEST).double()

    def table(self) -> Tensor:
        """The factors of codes, relative to the largest: [1, N, D], or [1, 1, D] if one for all N.

        Tokens of [..., D] are then [..., N, D].
        """
        relative = torch.atleast_1d(self.by * self._ratio / self.largest)
        if relative.numel() > relative.shape[-1]:
            relative = relative.broadcast_to(1, *sizes(self.node)[1:])
        return relative.reshape(1, -1, relative.shape[-1]).expand(-1, -1, width(self.node))

    def __call__(self, *inputs: Value) -> Value:
        if self.quantizer is not None:
            return self._of_codes(*self.narrowed(inputs))
        (sums,) = inputs
        assert isinstance(sums, Sums)
        by = self.by
        return sums._replace(real=sums.real * by, unit=(sums.unit * by).detach())

    def _of_codes(self, x: Tensor) -> Tensor:
        assert self.quantizer is not None
        table = self.table()
        tokens = (x / self._ratio).reshape(len(x), -1, *table.shape[1:])

        def op(out_step: Tensor) -> Tensor:
            steps = self.source.step, out_step / self.largest
            return exact.rotary(tokens, table, torch.zeros_like(table), False, *steps).view_as(x)

        return self.quantizer(x * self.by, op)


class Add(Handler[nodes.Add]):
    """A sum of what a matmul gives and of codes, or of two values in codes.

    A matmul gives codes, too, if another one is added to it or if its channels are moved.

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
        in_order = [place for place in wide if keeps_channels(node.inputs[place])]
        self.branch = in_order[-1] if in_order else None
        for place in wide:
            if place != self.branch:  # a second matmul, or one of mixed tokens
                self.sources[place] = self.source_of(place, assembly, "term")
        self.constant: Constant | None = None
        for value in node.inputs:
            if isinstance(value, Const):
                self.constant = assembly.constant(assembly.path(node, "added"), value)
        self.quantizer = assembly.stream_value(node)
        is_part = self.branch is not None and self.constant is not None and assembly.is_joined(node)
        if self.quantizer is None and not is_part:
            self.quantizer = assembly.sum(node)
        if self.branch is not None and not assembly.is_alone(node.inputs[self.branch]):
            raise self.refuse("a sum with a linear layer's outputs, of which others read more")
        if self.quantizer is not None:
            self.grid = Grid.of(self.quantizer)

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
        terms: list[Value] = [
            x if reader is None or isinstance(x, Tensor) else reader(x.real, x.in_steps)
            for x, reader in zip(inputs, self.readers, strict=True)
        ]
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
