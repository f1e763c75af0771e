"""Pillow's resize of an image, to the bit, in standard ops."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from pqv_onnx.graph.nodes import SIDES, Nodes
from pqv_onnx.graph.resize_weights import (
    BLOCK,
    FRACTION_BITS,
    SHIFTS,
    ZERO_POINT,
    Blocks,
    ResizeWeights,
)

_BOOL, _INT64 = ir.DataType.BOOL, ir.DataType.INT64
_INT32, _UINT8 = ir.DataType.INT32, ir.DataType.UINT8


class Resize:
    """The nodes that resize an image and keep a box of it.

    Pillow resizes one axis after the other and rounds to bytes in between: across, then down, or
    (Pillow 13) down first where more than twice as many rows as columns go. Here a pass always goes
    down, and what is to go across is transposed before; as rows of one byte it stays as it is.
    """

    def __init__(
        self, nodes: Nodes, interpolation: str, box: tuple[int, int], channels: int
    ) -> None:
        """Where the nodes go, a name in `RADIUS`, the box's height and width, and channels."""
        self.nodes, self.box, self.channels = nodes, box, channels
        self.weights = ResizeWeights(nodes, interpolation, box)
        self.side = self.weights.blocks * BLOCK

    def __call__(
        self, image: ir.Value, size: ir.Value, resized: ir.Value, start: ir.Value
    ) -> ir.Value:
        """The pixels of the box, uint8 [1, channels, height, width].

        Args:
            image: uint8 [H, W, channels].
            size: H and W, int64 [2].
            resized: height and width of the resized image, int64 [2].
            start: first row and column of the box there, int64 [2].
        """
        nodes, is_tall = self.nodes, self._is_tall(size, resized)
        blocks = self.weights(size, resized, start)
        limits, shape = [blocks.start, blocks.end], [None, None, self.channels]
        region = nodes.add("region", "Slice", [image, *limits], shape, _UINT8)
        return self._box(self._both_passes(region, is_tall, blocks))

    def _is_tall(self, size: ir.Value, resized: ir.Value) -> ir.Value:
        """Whether more than twice as many rows as columns go."""
        compute = self.nodes.elementwise
        gone = compute("gone", "Max", compute("change", "Sub", size, resized), 0)
        weighed = compute("weighed", "Mul", gone, [1, -2])
        balance = self.nodes.add("balance", "ReduceSum", [weighed], [], keepdims=0)
        return compute("is_tall", "Greater", balance, 0, dtype=_BOOL)

    def _both_passes(self, region: ir.Value, is_tall: ir.Value, blocks: Blocks) -> ir.Value:
        """The box as rows of pixels.

        Between the passes, bytes are [columns made, channels, rows], or [rows made, columns,
        channels] of a tall image.
        """
        nodes = self.nodes
        height, width, row = self._sides(blocks)
        byte, side = nodes.constant("byte", [1]), nodes.constant("side", [self.side])

        def choose(name: str, tall: ir.Value, other: ir.Value) -> ir.Value:
            return nodes.elementwise(name, "Where", is_tall, tall, other)

        turned = self._turned("first_pass", region, choose("first_row", byte, row))
        rows = choose("first_rows", height, width)
        is_across = nodes.elementwise("is_across", "Not", is_tall)
        axis = nodes.cast("first_axis", is_across, _INT64)
        made = self._pass("first_pass", turned, rows, axis, blocks)
        turned = self._turned("second_pass", made, choose("second_row", row, height))
        rows = choose("second_rows", width, height)
        axis = nodes.cast("second_axis", is_tall, _INT64)
        made = self._pass("second_pass", turned, rows, axis, blocks)
        return self._turned("box", made, choose("last_row", side, byte))

    def _sides(self, blocks: Blocks) -> list[ir.Value]:
        """Height and width of the region, and bytes of its rows, int64 [1] each."""
        nodes = self.nodes
        sides = nodes.elementwise("region_size", "Sub", blocks.end, blocks.start)
        height, width = (
            nodes.add(name, "Gather", [sides, nodes.constant(f"{name}.axis", [axis])], [1])
            for axis, name in enumerate(("region_height", "region_width"))
        )
        return [height, width, nodes.elementwise("region_row", "Mul", width, self.channels)]

    def _turned(self, name: str, pixels: ir.Value, row: ir.Value) -> ir.Value:
        """Pixels as a matrix with rows of so many bytes, transposed."""
        rest = self.nodes.constant(f"{name}.rest", [-1])
        matrix = self._matrix(f"{name}.rows", pixels, rest, row)
        turned = f"{name}.turned"
        return self.nodes.add(turned, "Transpose", [matrix], [None, None], _UINT8, perm=[1, 0])

    def _matrix(self, name: str, pixels: ir.Value, rows: ir.Value, row: ir.Value) -> ir.Value:
        shape = self.nodes.add(f"{name}.shape", "Concat", [rows, row], SIDES, axis=0)
        return self.nodes.add(name, "Reshape", [pixels, shape], [None, None], _UINT8)

    def _pass(
        self, name: str, pixels: ir.Value, rows: ir.Value, axis: ir.Value, blocks: Blocks
    ) -> ir.Value:
        """Blocks of rows that are made of rows, uint8 [blocks, 1, bytes]."""
        nodes, count = self.nodes, self.weights.blocks
        rest = nodes.constant(f"{name}.row", [-1])
        matrix = self._matrix(f"{name}.matrix", pixels, rows, rest)
        places = nodes.add(f"{name}.places", "Gather", [blocks.read, axis], [count, None])
        shape = [count, len(SHIFTS) * BLOCK, None]
        digits = nodes.add(f"{name}.digits", "Gather", [blocks.digits, axis], shape, _UINT8)
        read = nodes.add(f"{name}.read", "Gather", [matrix, places], [count, None, None], _UINT8)
        zero = nodes.constant(f"{name}.zero_point", ZERO_POINT, np.uint8)
        products = nodes.add(
            f"{name}.products", "MatMulInteger", [digits, read, zero], shape, _INT32
        )
        return self._rounded(name, self._summed(name, products))

    def _summed(self, name: str, products: ir.Value) -> ir.Value:
        """Products with the weights out of those with their digits, int32 [blocks, 1, bytes]."""
        nodes, count = self.nodes, self.weights.blocks
        by_digit = nodes.reshape(f"{name}.by_digit", products, [count, len(SHIFTS), -1])
        worth = nodes.constant(f"{name}.worth", [[1 << shift for shift in SHIFTS]], np.int32)
        return nodes.add(f"{name}.sums", "MatMul", [worth, by_digit], [count, 1, None], _INT32)

    def _rounded(self, name: str, sums: ir.Value) -> ir.Value:
        """Sums without their fraction, half up, as bytes."""
        compute, one = self.nodes.elementwise, 1 << FRACTION_BITS
        raised = compute(f"{name}.raised", "Add", sums, one // 2)
        limited = compute(f"{name}.limited", "Clip", raised, 0, 256 * one - 1)
        quotients = compute(f"{name}.quotients", "Div", limited, one)
        return self.nodes.cast(f"{name}.made", quotients, _UINT8)

    def _box(self, pixels: ir.Value) -> ir.Value:
        """Pixels as planes, without those behind the ends of the box."""
        nodes, shape = self.nodes, [1, self.channels, self.side, self.side]
        batch = nodes.reshape("batch", pixels, [1, self.side, self.side, self.channels])
        planes = nodes.add("planes", "Transpose", [batch], shape, _UINT8, perm=[0, 3, 1, 2])
        names = {"crop.start": [0, 0], "crop.end": self.box, "crop.axes": [2, 3]}
        limits = [nodes.constant(name, values) for name, values in names.items()]
        return nodes.add("crop", "Slice", [planes, *limits], [1, self.channels, *self.box], _UINT8)
