"""The front end for image files: onnxruntime-extensions' decoder before that for images."""

from __future__ import annotations

import onnx_ir as ir

from pqv_onnx.errors import PqvError
from pqv_onnx.graph.nodes import Nodes, Shape
from pqv_onnx.runtime.encoded import DOMAIN
from pqv_onnx.runtime.preprocess import ModelInput


def check_takes_encoded(wanted: ModelInput) -> None:
    """Refuse a model whose images the decoder does not give.

    Raises:
        PqvError: it takes grey images; `check_takes_image` says what else the graph cannot hold.
    """
    if wanted.channels != 3:
        raise PqvError(f"input encoded: the model takes {wanted.channels} channels, expected 3")


class TakeEncoded(ir.passes.InPlacePass):
    """Put the decoder of JPEG and PNG files in front of a model of images.

    Before it the graph takes ``image``, uint8 [H, W, 3]; after it ``file``, uint8 [bytes]. Of JPEG
    files the pixels are not Pillow's (docs/inputs.md).
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the graph's input."""
        graph = model.graph
        file = ir.val("file", ir.DataType.UINT8, ["bytes"])
        nodes, uint8 = Nodes("file"), ir.DataType.UINT8
        shape: Shape = ["height", "width", 3]
        bgr = nodes.add("bgr", "DecodeImage", [file], shape, uint8, domain=DOMAIN)
        order = nodes.constant("order", [2, 1, 0])
        rgb = nodes.add("rgb", "Gather", [bgr, order], shape, uint8, axis=2)
        nodes.replace_input(graph, file, rgb)
        graph.opset_imports[DOMAIN] = 1
        return ir.passes.PassResult(model, modified=True)
