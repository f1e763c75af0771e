"""The front end for pixels of files in standard ops: what normalises them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from pqv_onnx.graph.nodes import Nodes
from pqv_onnx.runtime.preprocess import ModelInput

_FLOAT, _UINT8 = ir.DataType.FLOAT, ir.DataType.UINT8


class TakePixels(ir.passes.InPlacePass):
    """Put the normalisation of pixels in front of a model of normalised images.

    Before it the graph takes ``images``, float32 [batch, C, H, W]; after it ``pixels``, uint8 of
    the same shape, or [batch, H, W, C]. The float32 steps are those of `ModelInput.from_pixels`.
    (Files of our ops have `PixelLookup` instead.)
    """

    def __init__(self, wanted: ModelInput, layout: str) -> None:
        """Of the model that is exported; ``layout`` is ``nchw`` or ``nhwc``."""
        super().__init__()
        self.wanted, self.layout = wanted, layout

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the graph's input."""
        graph = model.graph
        (images,) = graph.inputs
        assert images.shape is not None
        shape = images.shape
        nodes, is_nhwc = Nodes("pixels"), self.layout == "nhwc"
        given = ir.Shape([shape[i] for i in (0, 2, 3, 1)]) if is_nhwc else shape
        pixels = found = ir.val("pixels", _UINT8, given)
        if is_nhwc:
            found = nodes.add("planes", "Transpose", [found], shape, _UINT8, perm=[0, 3, 1, 2])
        found = nodes.add("real", "Cast", [found], shape, _FLOAT, to=_FLOAT)
        for name, op_type, values in (
            ("scaled", "Div", [255.0]),
            ("centred", "Sub", self.wanted.mean),
            ("normalised", "Div", self.wanted.std),
        ):
            found = nodes.add(name, op_type, [found, _planes(nodes, name, values)], shape, _FLOAT)
        nodes.replace_input(graph, pixels, found)
        return ir.passes.PassResult(model, modified=True)


def _planes(nodes: Nodes, name: str, values: Sequence[float]) -> ir.Value:
    """A number for each channel, [C, 1, 1]."""
    return nodes.constant(f"{name}_by", [[[value]] for value in values], np.float32)
