"""The front end for images of any size: timm's resize and crop, in standard ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from pqv_onnx.errors import PqvError
from pqv_onnx.graph.nodes import SIDES, Nodes
from pqv_onnx.runtime.preprocess import ModelInput

_MODES = {"bilinear": "linear", "bicubic": "cubic"}
_PILLOW = {
    "antialias": 1,
    "coordinate_transformation_mode": "half_pixel",
    "cubic_coeff_a": -0.5,
    "exclude_outside": 1,
}
"""Of ONNX's Resize, what makes it Pillow's: a filter that widens where the image shrinks, Keys'
cubic, and weights that are normalised at the edges."""
_INT64, _DOUBLE, _UINT8 = ir.DataType.INT64, ir.DataType.DOUBLE, ir.DataType.UINT8


def check_takes_image(wanted: ModelInput) -> None:
    """Refuse a model whose preprocessing the graph cannot hold.

    Raises:
        PqvError: the model's interpolation, crop or channels are none that `TakeImage` has.
    """
    if wanted.interpolation not in _MODES:
        found, allowed = wanted.interpolation, " or ".join(_MODES)
        raise PqvError(f"input image: the model's interpolation is {found}, expected {allowed}")
    if wanted.crop_pct > 1:
        raise PqvError(
            f"input image: the model's crop_pct is {wanted.crop_pct}, expected 1 or less"
        )
    if wanted.channels not in (1, 3):
        raise PqvError(f"input image: the model takes {wanted.channels} channels, expected 1 or 3")


class TakeImage(ir.passes.InPlacePass):
    """Put the resize and the centre crop of an image in front of a model of pixels.

    Before it the graph takes ``pixels``, uint8 [1, C, height, width] of the model's size; after it
    ``image``, uint8 [H, W, C] of any size, from which it computes them as timm does. The resized
    image differs from Pillow's by rounding (docs/metadata.md).
    """

    def __init__(self, wanted: ModelInput) -> None:
        """Of the model that is exported; see `check_takes_image`."""
        super().__init__()
        self.wanted = wanted

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the graph's input."""
        image = ir.val("image", _UINT8, ("height", "width", self.wanted.channels))
        nodes = Nodes("image")
        size = nodes.add("size", "Shape", [image], SIDES, end=2)
        resized_size = self._resized_size(nodes, size)
        resized = self._resize(nodes, image, size, resized_size)
        cropped = self._crop(nodes, resized, resized_size)
        nodes.replace_input(model.graph, image, cropped)
        return ir.passes.PassResult(model, modified=True)

    @property
    def _box(self) -> list[int]:
        return [self.wanted.height, self.wanted.width]

    def _resized_size(self, nodes: Nodes, size: ir.Value) -> ir.Value:
        """Height and width that the image is resized to: `ModelInput`'s rule."""
        box = [math.floor(side / self.wanted.crop_pct) for side in self._box]
        target = nodes.constant("target", box)
        if self.wanted.crop_mode == "squash":
            return target
        if box[0] == box[1]:
            shorter = nodes.add("shorter", "ReduceMin", [size], [1])
            return nodes.divided("resized_size", nodes.product("scaled", size, target), shorter)
        # In float64, as timm: to the same integers.
        exact = nodes.add("exact_size", "Cast", [size], SIDES, _DOUBLE, to=_DOUBLE)
        ratios = nodes.divided("ratios", exact, nodes.constant("exact_target", box, np.float64))
        ratio = nodes.add("ratio", "ReduceMin", [ratios], [1], _DOUBLE)
        rounded = nodes.add(
            "rounded_size", "Round", [nodes.divided("quotients", exact, ratio)], SIDES, _DOUBLE
        )
        return nodes.add("resized_size", "Cast", [rounded], SIDES, to=_INT64)

    def _resize(
        self, nodes: Nodes, image: ir.Value, size: ir.Value, resized_size: ir.Value
    ) -> ir.Value:
        """The image as uint8 [1, C, H, W] of another size, each pass rounded to bytes, as Pillow's.

        Resize goes across, then down. Pillow (13) goes down first where that is far less work;
        then the first Resize does it, and else nothing.
        """
        channels = self.wanted.channels
        planes = nodes.add(
            "planes", "Transpose", [image], [channels, "height", "width"], _UINT8, perm=[2, 0, 1]
        )
        axis = nodes.constant("batch_axis", [0])
        batch = nodes.add(
            "batch", "Unsqueeze", [planes, axis], [1, channels, "height", "width"], _UINT8
        )
        how: dict[str, Any] = {"mode": _MODES[self.wanted.interpolation], **_PILLOW}
        height = self._first_height(nodes, size, resized_size)
        shape = [1, channels, None, "width"]
        down = nodes.add(
            "down", "Resize", [batch, None, None, height], shape, _UINT8, axes=[2], **how
        )
        shape = [1, channels, None, None]
        return nodes.add(
            "resized", "Resize", [down, None, None, resized_size], shape, _UINT8, axes=[2, 3], **how
        )

    def _first_height(self, nodes: Nodes, size: ir.Value, resized: ir.Value) -> ir.Value:
        """The resized height if more than twice as many rows as columns go, else the image's."""
        zero = nodes.constant("zero", [0])
        change = nodes.add("change", "Sub", [size, resized], SIDES)
        gone = nodes.add("gone", "Max", [change, zero], SIDES)
        weighed = nodes.product("weighed", gone, nodes.constant("weights", [1, -2]))
        balance = nodes.add("balance", "ReduceSum", [weighed], [1])
        is_tall = nodes.add("is_tall", "Greater", [balance, zero], [1], ir.DataType.BOOL)
        heights = [
            nodes.add(name, "Gather", [sides, zero], [1])
            for name, sides in (("resized_height", resized), ("height", size))
        ]
        return nodes.add("first_height", "Where", [is_tall, *heights], [1])

    def _crop(self, nodes: Nodes, resized: ir.Value, size: ir.Value) -> ir.Value:
        """The centre; halves of a pixel go to the even side, as Python rounds them."""
        box, two = nodes.constant("box", self._box), nodes.constant("two", [2])
        excess = nodes.add("excess", "Sub", [size, box], SIDES)
        half = nodes.divided("half", excess, two)
        odd = nodes.product(
            "both_odd",
            nodes.add("excess_odd", "Mod", [excess, two], SIDES),
            nodes.add("half_odd", "Mod", [half, two], SIDES),
        )
        start = nodes.add("start", "Add", [half, odd], SIDES)
        end = nodes.add("end", "Add", [start, box], SIDES)
        shape = [1, self.wanted.channels, *self._box]
        axes = nodes.constant("axes", [2, 3])
        return nodes.add("crop", "Slice", [resized, start, end, axes], shape, _UINT8)
