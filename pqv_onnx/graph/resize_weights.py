"""Pillow's weights for resizing an image, to the bit, in standard ops.

A pixel that Pillow makes is a sum of those in a window along one axis, with weights of 22 bits
behind the point. Here neighbours share the pixels that any of them reads, a block, so that one
product makes all of them; and only what a box of the resized image keeps is made. Weights have
three digits of 8 bits, which MatMulInteger takes.

Arrays are [2, blocks, made, read]: the axes down (0) and across (1), and by the pixels that a block
makes and those that it reads, with 1 where that does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from pqv_onnx.graph.nodes import Nodes, Shape

RADIUS = {"bilinear": 1, "bicubic": 2}
"""How far each filter reaches, in pixels of the coarser of the two images."""
FRACTION_BITS = 22
SHIFTS, ZERO_POINT = (16, 8, 0), 128
"""Where a weight's digits are, and the one that means 0."""
BLOCK = 8
"""Pixels of a block: the more, the fewer are read twice, and the more weights are 0."""
_BOOL, _DOUBLE, _INT64 = ir.DataType.BOOL, ir.DataType.DOUBLE, ir.DataType.INT64
_INT32, _UINT32, _UINT8 = ir.DataType.INT32, ir.DataType.UINT32, ir.DataType.UINT8


@dataclass(frozen=True)
class Blocks:
    """What makes the pixels of a box out of a region of the image.

    Attributes:
        digits: of the weights, beside `ZERO_POINT`, uint8 [2, blocks, digits of made, read].
        read: places in the region of the pixels that a block reads, int64 [2, blocks, read].
        start: the region's first row and column, int64 [2].
        end: behind its last ones.
    """

    digits: ir.Value
    read: ir.Value
    start: ir.Value
    end: ir.Value


class ResizeWeights:
    """The nodes that compute the weights.

    Pillow's float64 steps, one by one: the last bit of each may decide how a weight is rounded.
    """

    def __init__(self, nodes: Nodes, interpolation: str, box: tuple[int, int]) -> None:
        """Where the nodes go, a name in `RADIUS`, and the box's height and width in pixels.

        Both axes have as many blocks: what is behind the shorter side of a box is to be cut off.
        """
        self.nodes, self.interpolation, self.box = nodes, interpolation, box
        self.blocks = math.ceil(max(box) / BLOCK)

    def __call__(self, size: ir.Value, resized: ir.Value, start: ir.Value) -> Blocks:
        """The blocks.

        Args:
            size: height and width of the image, int64 [2].
            resized: those of the resized image, int64 [2].
            start: first row and column of the box there, int64 [2].
        """
        real = self.nodes.elementwise
        real_size = self._of_axes("real_size", size)
        scale = real("scale", "Div", real_size, self._of_axes("real_resized_size", resized))
        widening = real("widening", "Max", scale, 1)
        centers = self._centers(self._of_axes("real_start", start), scale)
        starts, ends = self._windows(centers, widening, real_size)
        read = self._read(starts, ends)
        heights = self._heights(read, centers, widening)
        digits = self._digits(self._weights(heights, self._is_inside(read, starts, ends)))
        first = self._reduced("first_read", "ReduceMin", starts, [1, 2])
        end = self._reduced("end_read", "ReduceMax", ends, [1, 2])
        return Blocks(
            digits,
            self._places(read, first, end),
            self.nodes.reshape("region_start", first, [2]),
            self.nodes.reshape("region_end", end, [2]),
        )

    def _centers(self, start: ir.Value, scale: ir.Value) -> ir.Value:
        """Where in the image pixels are; behind the end of a side, its last one is repeated."""
        real = self.nodes.elementwise
        places = np.arange(self.blocks * BLOCK).reshape(self.blocks, BLOCK, 1)
        middles = np.stack([np.minimum(places, side - 1) for side in self.box]) + 0.5
        in_box = self.nodes.constant("middles.in_box", middles, np.float64)
        return real("centers", "Mul", real("middles", "Add", in_box, start), scale)

    def _windows(
        self, centers: ir.Value, widening: ir.Value, size: ir.Value
    ) -> tuple[ir.Value, ir.Value]:
        """The first pixel that each pixel reads, and the one behind the last."""
        real, cast = self.nodes.elementwise, self.nodes.cast
        reach = real("reach", "Mul", widening, RADIUS[self.interpolation])
        low = real("low", "Add", real("lowest", "Sub", centers, reach), 0.5)
        high = real("high", "Add", real("highest", "Add", centers, reach), 0.5)
        starts = cast("starts", real("low_inside", "Max", low, 0), _INT64)
        return starts, cast("ends", real("high_inside", "Min", high, size), _INT64)

    def _read(self, starts: ir.Value, ends: ir.Value) -> ir.Value:
        """The pixels that each block reads: as many as the one that needs most."""
        nodes = self.nodes
        first = self._reduced("block_starts", "ReduceMin", starts, [2])
        last = self._reduced("block_ends", "ReduceMax", ends, [2])
        lengths = nodes.elementwise("lengths", "Sub", last, first)
        length = nodes.add("length", "ReduceMax", [lengths], [], keepdims=0)
        zero, one = nodes.constant("steps.start", 0), nodes.constant("steps.step", 1)
        steps = nodes.add("steps", "Range", [zero, length, one], [None])
        return nodes.elementwise("read", "Add", first, steps)

    def _heights(self, read: ir.Value, centers: ir.Value, widening: ir.Value) -> ir.Value:
        """The filter around each center, where there are pixels to read."""
        real, radius = self.nodes.elementwise, RADIUS[self.interpolation]
        offsets = real("offsets", "Sub", self.nodes.cast("real_read", read, _DOUBLE), centers)
        middles = real("offsets_of_middles", "Add", offsets, 0.5)
        narrowed = real("narrowed", "Mul", middles, real("narrowing", "Div", 1, widening))
        distances = real("distances", "Min", real("absolute", "Abs", narrowed), radius)
        if self.interpolation == "bilinear":
            return real("heights", "Sub", 1, distances)
        near = self._polynomial("near", distances, [1.5, -2.5, 0, 1])
        far = real("far", "Mul", self._polynomial("far_cubic", distances, [1, -5, 8, -4]), -0.5)
        is_near = real("is_near", "Less", distances, 1, dtype=_BOOL)
        return real("heights", "Where", is_near, near, far)

    def _polynomial(self, name: str, x: ir.Value, coefficients: list[float]) -> ir.Value:
        """By Horner's rule, the highest power first."""
        leading, *others = coefficients
        value = self.nodes.elementwise(f"{name}_0", "Mul", leading, x)
        for power, coefficient in enumerate(others[:-1], 1):
            value = self.nodes.elementwise(f"{name}_{power}_sum", "Add", value, coefficient)
            value = self.nodes.elementwise(f"{name}_{power}", "Mul", value, x)
        return self.nodes.elementwise(name, "Add", value, others[-1])

    def _is_inside(self, read: ir.Value, starts: ir.Value, ends: ir.Value) -> ir.Value:
        """Whether a pixel that the block reads is in the window of the one that it makes."""
        compare = self.nodes.elementwise
        is_after_start = compare("is_after_start", "GreaterOrEqual", read, starts, dtype=_BOOL)
        is_before_end = compare("is_before_end", "Less", read, ends, dtype=_BOOL)
        return compare("is_inside", "And", is_after_start, is_before_end)

    def _weights(self, heights: ir.Value, is_inside: ir.Value) -> ir.Value:
        """Weights of sum 1 with `FRACTION_BITS`, rounded half away from 0, int32."""
        nodes, real = self.nodes, self.nodes.elementwise
        heights = real("heights_inside", "Where", is_inside, heights, 0)
        # CumSum adds one after the other, as Pillow does; ReduceSum need not.
        axis, last = nodes.constant("sums_so_far.axis", 3), nodes.constant("sums.last", [-1])
        shape: Shape = [2, self.blocks, BLOCK, None]
        sums = nodes.add("sums_so_far", "CumSum", [heights, axis], shape, _DOUBLE)
        total = nodes.add("sums", "Gather", [sums, last], [*shape[:3], 1], _DOUBLE, axis=3)
        weights = real("weights", "Div", heights, total)
        scaled = real("scaled_weights", "Mul", weights, 1 << FRACTION_BITS)
        half = real("signed_half", "Mul", real("sign", "Sign", scaled), 0.5)
        return nodes.cast("fixed_weights", real("before_rounding", "Add", scaled, half), _INT32)

    def _digits(self, weights: ir.Value) -> ir.Value:
        """Digits of the weights, by blocks, uint8 [2, blocks, digits of made, read]."""
        nodes = self.nodes
        zero = sum(ZERO_POINT << shift for shift in SHIFTS)
        bits = nodes.cast("bits", nodes.elementwise("positive", "Add", weights, zero), _UINT32)
        rows = nodes.reshape("bit_rows", bits, [2, self.blocks, 1, BLOCK, -1])
        shifts = [[[shift]] for shift in SHIFTS]
        shifted = nodes.elementwise("shifted", "BitShift", rows, shifts, direction="RIGHT")
        digits = nodes.cast("digit_rows", shifted, _UINT8)
        return nodes.reshape("digits", digits, [2, self.blocks, len(SHIFTS) * BLOCK, -1])

    def _places(self, read: ir.Value, start: ir.Value, end: ir.Value) -> ir.Value:
        """Of the pixels that are read, in the region; of those behind it, the last place."""
        nodes = self.nodes
        last = nodes.elementwise("last_read", "Sub", end, 1)
        inside = nodes.elementwise("read_inside", "Min", read, last)
        places = nodes.elementwise("places_in_region", "Sub", inside, start)
        return nodes.reshape("places", places, [2, self.blocks, -1])

    def _of_axes(self, name: str, sides: ir.Value) -> ir.Value:
        """A number for each side, as float64 [2, 1, 1, 1]."""
        real = self.nodes.cast(f"{name}.of_sides", sides, _DOUBLE)
        return self.nodes.reshape(name, real, [2, 1, 1, 1])

    def _reduced(self, name: str, op_type: str, values: ir.Value, axes: list[int]) -> ir.Value:
        """The least or greatest over axes of int64 [2, blocks, made, 1]."""
        along = self.nodes.constant(f"{name}.axes", axes)
        shape = [2, 1 if 1 in axes else self.blocks, 1, 1]
        return self.nodes.add(name, op_type, [values, along], shape)
