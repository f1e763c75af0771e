"""The image, and what joins, averages and moves values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pqv_onnx.qat import exact
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.handlers.base import Handler, Value, one_step
from pqv_onnx.qat.quantizers import ActivationQuantizer, ResidualQuantizer
from pqv_onnx.trace import nodes
from pqv_onnx.trace.evaluate import move
from pqv_onnx.trace.maps import moved
from pqv_onnx.trace.values import Batch, Const

if TYPE_CHECKING:
    from pqv_onnx.qat.assembly import Assembly


class Input(Handler[nodes.Input]):
    """The images, 8 bits."""

    def __init__(self, node: nodes.Input, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        self.quantizer = assembly.add("quantizer", ActivationQuantizer(assembly.spec.image.bits))
        self.grid = Grid.of(self.quantizer)

    def __call__(self, *inputs: Value) -> Tensor:
        (images,) = inputs
        return self.quantizer(images)


class Concat(Handler[nodes.Concat]):
    """Constants and sums of matmuls that become one value, or parts of one value."""

    def __init__(self, node: nodes.Concat, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        grids = [assembly.grid(value) for value in node.nodes]
        self.quantizer: ResidualQuantizer | None = None
        self.parts = [
            assembly.constant(assembly.path(node, "tokens"), value)
            if isinstance(value, Const)
            else None
            for value in node.inputs
        ]
        if grids[0] is not None and all(grids[0].equals(grid) for grid in grids):
            if any(self.parts):
                raise self.refuse("a constant beside values that are quantized already")
            self.grid = grids[0]
            return
        if any(grid is not None for grid in grids):
            raise self.refuse("a concatenation of values with different steps")
        self.quantizer = assembly.stream_value(node) or assembly.residual(
            node, node.path, "residual"
        )
        self.grid = Grid.of(self.quantizer)

    def __call__(self, *inputs: Value) -> Tensor:
        if self.quantizer is None:
            return torch.cat(list(inputs), self.node.axis)  # type: ignore[arg-type]
        values, count, quantizer = iter(inputs), inputs[0].real.shape[0], self.quantizer
        parts = [
            next(values) if part is None else part.value.expand(count, *part.value.shape[1:])
            for part in self.parts
        ]

        def op(step: Tensor) -> Tensor:
            codes = [
                x.in_steps(step) if isinstance(x, Sums) else quantizer.codes(x).float()
                for x in parts
            ]
            return torch.cat(codes, self.node.axis)

        return quantizer(torch.cat([x.real for x in parts], self.node.axis), op)


class Mean(Handler[nodes.Mean]):
    """A mean over tokens; steps that differ by channel do so behind it."""

    def __init__(self, node: nodes.Mean, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        source = assembly.grid(node.inputs[0])
        if source is None:
            raise self.refuse("a mean of what a linear layer gives")
        if source.channels is not None:
            raise self.refuse("a mean of moved channels with different steps")
        self.source = source
        bits = assembly.spec.final_norm.bits
        self.quantizer = assembly.add(assembly.path(node, "pool"), ActivationQuantizer(bits))
        self.grid = Grid(self.quantizer, source.ratios)

    def tokens(self, x: Tensor) -> Tensor:
        """``x`` as [B, T, the other axes], T being what is averaged."""
        rest = [axis for axis in range(1, x.ndim) if axis not in self.node.axes]
        order = x.permute(0, *self.node.axes, *rest)
        return order.flatten(1, len(self.node.axes))

    def __call__(self, *inputs: Value) -> Tensor:
        (x,) = inputs
        assert isinstance(x, Tensor)
        exponent = self.source.exponent
        scale = 1.0 if exponent is None else torch.exp2(exponent.to(x.dtype))
        tokens = self.tokens(x / scale)
        flat = tokens.flatten(2)
        ones = torch.ones_like(flat[:, None, :, 0])

        def op(out_step: Tensor) -> Tensor:
            return exact.weighted_mean(ones, flat, self.source.step, out_step).squeeze(1)

        out: Tensor = self.quantizer(flat.mean(1), op)
        shape = [1 if axis in self.node.axes else size for axis, size in enumerate(x.shape)]
        out = out.reshape(shape if self.node.keep else (x.shape[0], *tokens.shape[2:]))
        return out * scale


class Max(Handler[nodes.Max]):
    """The largest of values that have one step in each channel."""

    def __init__(self, node: nodes.Max, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        self.grid = self.source_of(0, assembly, "input_quantizer")
        if len(node.nodes[0].shape) - 1 in node.axes or self.grid.channels is not None:
            one_step(self, self.grid)

    def __call__(self, *inputs: Value) -> Tensor:
        (x,) = self.narrowed(inputs)
        return x.amax(self.node.axes, self.node.keep)


class Move(Handler[nodes.Move]):
    """Elements at other places; with those of sums their units move, too."""

    def __init__(self, node: nodes.Move, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        if len(node.nodes) != 1 or len(node.inputs) != 1:
            raise self.refuse(f"{node.function} of several values")
        source = assembly.grid(node.inputs[0])
        self.grid = None if source is None else source.moved(node)
        self._channels: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, *inputs: Value) -> Value:
        (x,) = inputs
        if isinstance(x, Tensor):
            return move(self.node, x, batch=self._batch(x))
        if x.added is not None:
            raise self.refuse("a move of a sum with a constant")
        batch = self._batch(x.real)
        real, codes = (move(self.node, part, batch=batch) for part in (x.real, x.codes))
        return Sums(real, codes, self._moved(x.unit))

    def _moved(self, unit: Tensor) -> Tensor:
        if not unit.ndim:
            return unit
        shape = tuple(unit.shape)
        if shape not in self._channels:
            places = torch.arange(unit.numel(), device="cpu").reshape(shape)
            self._channels[shape] = moved(self.node, places)
        return unit.flatten()[self._channels[shape].to(unit.device)]

    def _batch(self, x: Tensor) -> int:
        """Images of a value before the move."""
        shape = self.node.nodes[0].shape
        axis = next(i for i, size in enumerate(shape) if isinstance(size, Batch))
        size = shape[axis]
        assert isinstance(size, Batch)
        return x.shape[axis] // size.times
