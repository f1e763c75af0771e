"""``export_standard``: a quantized model without ops of our own, for other runtimes."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Literal

import onnx
import torch

from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_writable, write_atomically
from pqv_onnx.graph.ends import check_input, end_passes
from pqv_onnx.graph.export import About, Layout, config_metadata, finished
from pqv_onnx.graph.normalise import TakePixels
from pqv_onnx.graph.passes import NameByModule
from pqv_onnx.graph.qdq import round_by_qdq
from pqv_onnx.graph.translate import to_onnx
from pqv_onnx.qat import QuantModel, exact
from pqv_onnx.qat.calibration import check_calibrated
from pqv_onnx.qat.handlers import Attention
from pqv_onnx.runtime.preprocess import ONE_IMAGE, InputFormat

Format = Literal["qdq", "float"]


def export_standard(
    model: QuantModel,
    path: str | os.PathLike[str],
    form: Format,
    *,
    input: InputFormat = "float",
    layout: Layout = "nhwc",
    top_k: int | None = None,
    about: About = About(),  # noqa: B008 - frozen
) -> None:
    """Write a calibrated or trained model as ONNX of standard ops.

    Args:
        model: it is left as it is.
        path: the ``.onnx`` file; written whole or not at all.
        form: ``qdq`` has QuantizeLinear and DequantizeLinear where the model rounds (see
            `pqv_onnx.graph.qdq`); ``float`` rounds nothing: the float model of the same weights.
        input: as of `export_onnx`; the front end is before the first rounding, in float32.
        layout: as of `export_onnx`.
        top_k: as of `export_onnx`.
        about: author, license and description.

    Raises:
        PqvError: the model is not calibrated, the file cannot be written, an option is unknown, or
            the model has no such ends.
    """
    if form not in ("qdq", "float"):
        raise PqvError(f"the form of a standard file is qdq or float, not {form}")
    check_writable(path)
    check_calibrated(model)
    config = model.config
    check_input(input, layout)
    borders = end_passes(config, input, top_k)
    if input != "float":
        given = layout if input == "uint8" else "nchw"
        borders.insert(0, TakePixels(config.input, given))
    traced = QuantModel(config)
    traced.load_state_dict(model.state_dict())
    traced.checkpoint_sha256 = model.checkpoint_sha256
    _settle_biases(traced)
    if form == "qdq":
        round_by_qdq(traced)
    backbone = config.backbone
    count = 1 if input in ONE_IMAGE else 2  # image, where the file is to take no more
    images = torch.zeros(count, backbone.in_chans, *backbone.img_size)
    with exact.full_precision():
        program = to_onnx(traced, images, "images", backbone.outputs)
    own = {"pqv.format": form} | ({"pqv.precision": "float"} if form == "float" else {})
    entries = about.metadata() | config_metadata(model, input, layout) | own
    standard = f"{backbone.architecture} in standard ops ({entries['pqv.precision']})."
    proto = finished(program, [NameByModule({}), *borders], entries, about.description or standard)
    onnx.checker.check_model(proto, full_check=True)
    write_atomically(path, proto.SerializeToString())


@torch.no_grad()
def _settle_biases(model: QuantModel) -> None:
    """Which of them are masks depends on their values, which tracing does not have."""
    for handler in model.handlers.values():
        if isinstance(handler, Attention):
            handler.bias = partial(_same, handler.bias())  # type: ignore[method-assign]


def _same(found: tuple[torch.Tensor | None, torch.Tensor | None]) -> Any:
    return found
