"""What exported files of any format take and give beside the model's own tensors."""

from __future__ import annotations

import onnx_ir as ir

from pqv_onnx.errors import PqvError
from pqv_onnx.graph.classes import GiveClasses, check_top_k
from pqv_onnx.graph.encoded import TakeEncoded, check_takes_encoded
from pqv_onnx.graph.image import TakeImage, check_takes_image
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.runtime.preprocess import LAYOUTS, ONE_IMAGE


def end_passes(config: ModelConfig, input: str, top_k: int | None) -> list[ir.passes.PassBase]:
    """The passes that put the ends of ``input`` and ``top_k`` to a graph of pixels and logits.

    Raises:
        PqvError: the model gives no logits or has fewer classes, or its images are made in a way
            that the graph cannot hold.
    """
    passes: list[ir.passes.PassBase] = []
    if input in ONE_IMAGE:
        check_takes_image(config.input)
        passes.append(TakeImage(config.input))
    if input == "encoded":
        check_takes_encoded(config.input)
        passes.append(TakeEncoded())
    if top_k is not None:
        check_top_k(top_k, config.backbone.task, config.backbone.num_classes)
        passes.append(GiveClasses(top_k))
    return passes


def check_input(input: str, layout: str) -> None:
    """Raise PqvError of an unknown input or, for pixels, layout."""
    if input not in LAYOUTS:
        raise PqvError(f"input must be float, uint8, image or encoded, not {input}")
    if input == "uint8" and layout not in LAYOUTS[input]:
        raise PqvError(f"layout must be nhwc or nchw, not {layout}")
    if input in ONE_IMAGE and layout == "nchw":
        raise PqvError(f"layout nchw is one of uint8 pixels, input {input} has none")
