"""What a model must be to run on a phone beside others."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import onnx
from onnx.external_data_helper import uses_external_data

from pqv_onnx.errors import PqvError
from pqv_onnx.graph.load import load_model, metadata, read_proto, takes_encoded, takes_image
from pqv_onnx.ops.domain import DOMAIN
from pqv_onnx.runtime.labels import stated_labels
from pqv_onnx.runtime.preprocess import ModelInput

KINDS = {"pqv": "pqv", "fp32": "onnxruntime fp32", "qdq": "onnxruntime QDQ int8"}
"""Kinds of models in a bundle, and what tables call them."""


def check_model(path: str | os.PathLike[str], kind: str) -> int:
    """Check that a model is of its kind and can be copied as one file.

    Args:
        path: an ``.onnx`` file with one input.
        kind: ``pqv`` for an exported model, ``fp32`` or ``qdq`` for one to compare with.

    Returns:
        The number of values of an input without its batch axis; of a model of images, of the
        pixels that it makes of one.

    Raises:
        PqvError: it is not an ONNX model, is of another kind, keeps weights in other files, or
            has not one input of known size.
    """
    model = load_model(path) if kind == "pqv" else _load_peer(path)
    ops = {node.op_type for node in model.graph.node}
    if kind == "qdq" and "DequantizeLinear" not in ops:
        raise PqvError(f"{path}: has no DequantizeLinear, expected a model quantized to QDQ int8")
    if kind == "fp32" and ops & {"DequantizeLinear", "QLinearMatMul", "MatMulInteger"}:
        raise PqvError(f"{path}: is quantized, expected an fp32 model")
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise PqvError(f"{path}: has {len(inputs)} inputs, expected one")
    if takes_encoded(model):
        raise PqvError(
            f"{path}: decodes image files by onnxruntime-extensions, which no bundle has; "
            "export it with --input image"
        )
    if takes_image(model):
        wanted = ModelInput.from_metadata(metadata(model))
        return wanted.channels * wanted.height * wanted.width
    sizes = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim][1:]
    if not sizes or min(sizes) < 1:
        raise PqvError(f"{path}: the input has axes of unknown size, expected only a free batch")
    return math.prod(sizes)


@dataclass(frozen=True)
class Classifier:
    """What an app must know of a classifier.

    Attributes:
        classes: their number.
        has_labels: whether the file names them.
    """

    classes: int
    has_labels: bool


def check_classifier(path: str | os.PathLike[str]) -> Classifier:
    """Check that a model is a classifier of images that the class ``PqvClassifier`` can run.

    Raises:
        PqvError: as `check_model`; or it gives something else than logits, its metadata do not
            say how an image is prepared, or name another number of classes than it has.
    """
    check_model(path, "pqv")
    model = load_model(path)
    entries = metadata(model)
    task = entries.get("pqv.task", "logits")
    if task != "logits":
        raise PqvError(f"{path}: gives {task}, expected a classifier, which gives logits")
    try:
        ModelInput.from_metadata(entries)
    except PqvError as error:
        raise PqvError(f"{path}: {error}") from error
    classes = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    labels = stated_labels(entries)
    if labels and len(labels) != classes:
        raise PqvError(f"{path}: has {len(labels)} labels for {classes} classes")
    return Classifier(classes, bool(labels))


def _load_peer(path: str | os.PathLike[str]) -> onnx.ModelProto:
    model = read_proto(path, external_data=False)
    if any(node.domain == DOMAIN for node in model.graph.node):
        raise PqvError(f"{path}: has ops of the domain {DOMAIN}, expected a model without them")
    if any(uses_external_data(tensor) for tensor in model.graph.initializer):
        raise PqvError(f"{path}: keeps weights in other files, expected one file")
    return model
