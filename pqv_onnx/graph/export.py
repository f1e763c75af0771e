"""``export_onnx``: an integer model to one self-contained ``.onnx`` file."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    DeduplicateHashedInitializersPass,
)

from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_writable, write_atomically
from pqv_onnx.graph.ends import check_input, end_passes
from pqv_onnx.graph.fusion import FuseGelu
from pqv_onnx.graph.notes import write_notes
from pqv_onnx.graph.passes import AttachFunctions, NameByModule, check_exported
from pqv_onnx.graph.pixels import PixelLookup
from pqv_onnx.graph.translate import to_onnx
from pqv_onnx.integer import IntegerModel, convert_to_integer
from pqv_onnx.integer.attention import in_parts
from pqv_onnx.integer.layers import Dequantize
from pqv_onnx.ops.domain import VERSION
from pqv_onnx.qat import QuantModel
from pqv_onnx.runtime.labels import LABELS_KEY
from pqv_onnx.runtime.preprocess import LAYOUTS, InputFormat
from pqv_onnx.runtime.session import MINIMUM_ONNXRUNTIME
from pqv_onnx.version import __version__

OutputFormat = Literal["float", "int8"]
Layout = Literal["nchw", "nhwc"]

IR_VERSION = 10
"""The newest that the oldest supported onnxruntime reads."""


@dataclass(frozen=True)
class About:
    """What a file says of itself, for people.

    Attributes:
        author: of the model.
        license: of the weights.
        description: in a sentence; made from the model where it is None.
    """

    author: str | None = None
    license: str | None = None
    description: str | None = None

    def metadata(self) -> dict[str, str]:
        """Author and license under the names that viewers know."""
        known = {"author": self.author, "license": self.license}
        return {name: value for name, value in known.items() if value}


def export_qat(
    model: QuantModel,
    path: str | os.PathLike[str],
    *,
    input: InputFormat = "float",
    layout: Layout = "nhwc",
    embedding: OutputFormat = "float",
    top_k: int | None = None,
    fuse: bool = True,
    about: About = About(),
) -> None:
    """Write a calibrated or trained model as integer-only ONNX; see `export_onnx`.

    Raises:
        PqvError: the model is no `QuantModel` or not calibrated, the file cannot be written, an
            option is unknown, or the model gives no codes.
    """
    if not isinstance(model, QuantModel):
        raise PqvError(
            f"the model is a {type(model).__name__}, expected a QuantModel, as `calibrate` makes"
        )
    ends: dict[str, Any] = {"input": input, "layout": layout, "embedding": embedding}
    export_onnx(convert_to_integer(model), path, **ends, top_k=top_k, fuse=fuse, about=about)


def export_onnx(
    model: IntegerModel,
    path: str | os.PathLike[str],
    *,
    input: InputFormat = "float",
    layout: Layout = "nhwc",
    embedding: OutputFormat = "float",
    top_k: int | None = None,
    fuse: bool = True,
    about: About = About(),
) -> None:
    """Write ``model`` as ONNX: custom ops, their definitions, packed weights, metadata.

    Args:
        model: the integer model.
        path: the ``.onnx`` file; written whole or not at all.
        input: ``float`` takes float32 [batch, C, H, W], normalised; ``uint8`` takes raw pixels
            and gives the very same bits (see `PixelLookup`); ``image`` takes one image, uint8
            [H, W, C] of any size, and makes the pixels of it (see `TakeImage`); ``encoded`` takes
            the bytes of a JPEG or PNG file, uint8 [N], and makes the image of them, not quite as
            Pillow does (see `TakeEncoded`).
        layout: axis order of uint8 pixels, ``nhwc`` or ``nchw``.
        embedding: ``int8`` gives the codes of a unit embedding, each worth the metadata's
            ``pqv.embedding_scale``.
        top_k: give the probabilities and the numbers of so many best classes, too (see
            `GiveClasses`).
        fuse: write each self-attention as one op, and each matmul with its GELU; without, as
            their parts. The bits are equal.
        about: author, license and description.

    Raises:
        PqvError: the file cannot be written, an option is unknown, the model gives no codes, or
            its images are made in a way that the graph cannot hold.
    """
    check_writable(path)
    borders = end_passes(model.config, input, top_k)
    ends = with_embedding(with_input(model, input, layout), embedding)
    with nullcontext() if fuse else in_parts():
        program = to_onnx(ends, *_example(model, input, layout), model.config.backbone.outputs)
    passes = [NameByModule(model.streams), *([FuseGelu()] if fuse else []), *borders]
    entries = about.metadata() | _metadata(model, input, layout) | _embedding(model, embedding)
    proto = finished(program, passes, entries, about.description or _description(model))
    write_notes(proto, {model.streams.get(name, name): own for name, own in model.codes.items()})
    check_exported(proto)
    write_atomically(path, proto.SerializeToString())


def finished(
    program: ir.Model,
    passes: Sequence[ir.passes.PassBase],
    metadata: Mapping[str, str],
    description: str,
) -> onnx.ModelProto:
    """A traced model as it is written: ``passes``, then what every file has."""
    last = (
        # Of the blocks' tables of positions and masks, which are large: one of each is enough.
        DeduplicateHashedInitializersPass(size_limit=sys.maxsize),
        ClearMetadataAndDocStringPass(),
        AttachFunctions(),
    )
    exported = ir.passes.Sequential(*passes, *last)(program).model
    exported.metadata_props.update(metadata)
    exported.doc_string = description
    exported.producer_name, exported.producer_version = "pqv_onnx", __version__
    exported.ir_version = IR_VERSION
    proto = ir.to_proto(exported)
    _drop_redundant_value_info(proto)
    return proto


def with_input(model: IntegerModel, input: str, layout: str) -> IntegerModel:
    """The model with the front end for ``input``; weights are shared with ``model``.

    Raises:
        PqvError: the input or layout is unknown.
    """
    if input == "float":
        return model
    check_input(input, layout)
    mean, std = model.config.preprocessing.mean, model.config.preprocessing.std
    channels_last = input == "uint8" and layout == "nhwc"
    lookup = PixelLookup(model.quantize.scale, mean, std, channels_last)
    return _with_border(model, "quantize", lookup)


def with_embedding(model: IntegerModel, embedding: str) -> IntegerModel:
    """The model with the last border for ``embedding``; weights are shared with ``model``.

    Raises:
        PqvError: the embedding is unknown, or the model gives none in codes of one step.
    """
    task = model.config.backbone.task
    if embedding == "float":
        return model
    if embedding != "int8":
        raise PqvError(f"embedding must be float or int8, not {embedding}")
    if task != "unit_embedding":
        raise PqvError(f"the model gives {task}, an int8 embedding wants the task unit_embedding")
    return _with_border(model, "dequantize", torch.nn.Identity())


def _with_border(model: IntegerModel, name: str, module: torch.nn.Module) -> IntegerModel:
    """A copy of the model with another module in place of ``name``."""
    changed = copy.copy(model)
    changed._modules = {**model._modules, name: module}
    return changed


def _embedding(model: IntegerModel, embedding: str) -> dict[str, str]:
    """What the metadata say of an embedding of length 1."""
    if model.config.backbone.task != "unit_embedding":
        return {}
    assert isinstance(model.dequantize, Dequantize)
    scale = float(model.dequantize.scale[0])
    return {"pqv.embedding": embedding, "pqv.embedding_scale": repr(scale)}


def _example(model: IntegerModel, input: str, layout: str) -> tuple[torch.Tensor, str]:
    """A batch and the input's name: two images, or one where the file is to take one only."""
    channels = model.config.backbone.in_chans
    height, width = model.config.backbone.img_size
    if input == "float":
        return torch.zeros(2, channels, height, width), "images"
    pixels = torch.zeros(2 if input == "uint8" else 1, channels, height, width, dtype=torch.uint8)
    channels_last = input == "uint8" and layout == "nhwc"
    return pixels.permute(0, 2, 3, 1).contiguous() if channels_last else pixels, "pixels"


def _drop_redundant_value_info(proto: onnx.ModelProto) -> None:
    """Keep the types of node outputs only: an initializer states its own."""
    produced = {name for node in proto.graph.node for name in node.output}
    kept = [value for value in proto.graph.value_info if value.name in produced]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(kept)


def _description(model: IntegerModel) -> str:
    backbone = model.config.backbone
    height, width = backbone.img_size
    return (
        f"{backbone.architecture} in integers ({model.config.spec.name}): "
        f"{backbone.task} of images of {width} x {height} pixels."
    )


def _metadata(model: IntegerModel, input: str, layout: str) -> dict[str, str]:
    return {
        **config_metadata(model, input, layout),
        "pqv.op_domain_version": str(VERSION),
        "pqv.minimum_onnxruntime": ".".join(map(str, MINIMUM_ONNXRUNTIME)),
    }


def config_metadata(model: IntegerModel | QuantModel, input: str, layout: str) -> dict[str, str]:
    """What the metadata of a file in any format say of its model."""
    config = model.config
    layout = layout if input == "uint8" else LAYOUTS[input][0]
    entries = {
        "pqv.model": config.backbone.architecture,
        "pqv.task": config.backbone.task,
        "pqv.precision": config.spec.name,
        "pqv.scheme": json.dumps(config.spec.to_dict()),
        "pqv.tool_version": __version__,
        **replace(config.input, input=input, layout=layout).to_metadata(),
    }
    if config.labels is not None:
        entries[LABELS_KEY] = "\n".join(config.labels)
    if model.checkpoint_sha256 is not None:
        entries["pqv.checkpoint_sha256"] = model.checkpoint_sha256
    return entries
