"""The front end for images of any size: timm's resize and crop, in standard ops."""

from __future__ import annotations

import math

import onnx_ir as ir

from pqv_onnx.errors import PqvError
from pqv_onnx.graph.nodes import SIDES, Nodes
from pqv_onnx.graph.resize import Resize
from pqv_onnx.graph.resize_weights import RADIUS
from pqv_onnx.runtime.preprocess import ModelInput

_INT64, _DOUBLE, _UINT8 = ir.DataType.INT64, ir.DataType.DOUBLE, ir.DataType.UINT8


def check_takes_image(wanted: ModelInput) -> None:
    """Refuse a model whose preprocessing the graph cannot hold.

    Raises:
        PqvError: the model's interpolation, crop or channels are none that `TakeImage` has.
    """
    if wanted.interpolation not in RADIUS:
        found, allowed = wanted.interpolation, " or ".join(RADIUS)
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
    ``image``, uint8 [H, W, C] of any size, from which it computes them as timm does, to the bit
    (docs/inputs.md).
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
        start = self._start(nodes, resized_size)
        resize = Resize(nodes, self.wanted.interpolation, self._box, self.wanted.channels)
        nodes.replace_input(model.graph, image, resize(image, size, resized_size, start))
        return ir.passes.PassResult(model, modified=True)

    @property
    def _box(self) -> tuple[int, int]:
        return self.wanted.height, self.wanted.width

    def _resized_size(self, nodes: Nodes, size: ir.Value) -> ir.Value:
        """Height and width that the image is resized to: `ModelInput`'s rule."""
        box = [math.floor(side / self.wanted.crop_pct) for side in self._box]
        if self.wanted.crop_mode == "squash":
            return nodes.constant("resized_size", box)
        if box[0] == box[1]:
            shorter = nodes.add("shorter", "ReduceMin", [size], [1])
            scaled = nodes.elementwise("scaled", "Mul", size, box)
            return nodes.elementwise("resized_size", "Div", scaled, shorter)
        # In float64, as timm: to the same integers.
        real = nodes.elementwise
        exact = nodes.cast("exact_size", size, _DOUBLE)
        ratios = real("ratios", "Div", exact, box)
        ratio = nodes.add("ratio", "ReduceMin", [ratios], [1], _DOUBLE)
        rounded = real("rounded_size", "Round", real("quotients", "Div", exact, ratio))
        return nodes.cast("resized_size", rounded, _INT64)

    def _start(self, nodes: Nodes, size: ir.Value) -> ir.Value:
        """The crop's first row and column; halves go to the even side, as Python rounds them."""
        compute = nodes.elementwise
        excess = compute("excess", "Sub", size, self._box)
        half = compute("half", "Div", excess, 2)
        odd = compute("excess_odd", "Mod", excess, 2), compute("half_odd", "Mod", half, 2)
        return compute("start", "Add", half, compute("both_odd", "Mul", *odd))
