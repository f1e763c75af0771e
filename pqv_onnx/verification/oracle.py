"""The torch integer model as the first of the ways to run a graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch

from pqv_onnx.checkpoint import load_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.graph.export import with_embedding, with_input
from pqv_onnx.graph.load import metadata, result_names, takes_image
from pqv_onnx.integer import IntegerModel, convert_to_integer
from pqv_onnx.runtime.session import InferenceSession
from pqv_onnx.trace.values import all_results
from pqv_onnx.verification.compare import Values
from pqv_onnx.verification.runners import Oracle


def torch_oracle(checkpoint: str | os.PathLike[str], model: onnx.ModelProto) -> Oracle:
    """The integer model of a QAT checkpoint, run so that its values have the graph's names.

    Args:
        checkpoint: what ``model`` was exported from.
        model: tells both borders (``pqv.input``, ``pqv.layout``, ``pqv.embedding``) and the
            outputs' names.

    Raises:
        PqvError: the checkpoint does not load, or is not what ``model`` was exported from.
    """
    integer = convert_to_integer(load_qat(checkpoint))
    entries = metadata(model)
    for key, found in (
        ("pqv.model", integer.config.backbone.architecture),
        ("pqv.precision", integer.config.spec.name),
    ):
        if (stated := entries.get(key)) != found:
            raise PqvError(f"{checkpoint} is {found}, the model was exported from {stated}")
    sha256 = integer.checkpoint_sha256
    if entries.get("pqv.checkpoint_sha256", sha256) != sha256:  # there if it was read from a file
        raise PqvError(f"the model was not exported from {checkpoint}")
    changed = with_input(integer, entries["pqv.input"], entries["pqv.layout"])
    changed = with_embedding(changed, entries.get("pqv.embedding", "float"))
    oracle = recorded(changed, result_names(model))
    return _behind(_pixels_of(model), oracle) if takes_image(model) else oracle


def _pixels_of(model: onnx.ModelProto) -> Oracle:
    """The graph's own front end, run by onnxruntime: it is of float arithmetic."""
    given = model.graph.input[0].name
    front = onnx.ModelProto()
    front.CopyFrom(model)
    (pixels,) = (value for value in model.graph.value_info if value.name == "pixels")
    del front.graph.output[:]
    front.graph.output.append(pixels)
    session = InferenceSession(front.SerializeToString(), use_library=False)
    return lambda image: {"pixels": session.run(None, {given: image})[0]}


def _behind(front: Oracle, oracle: Oracle) -> Oracle:
    return lambda image: oracle(front(image)["pixels"])


def recorded(model: IntegerModel, outputs: Sequence[str]) -> Oracle:
    """A function that runs ``model`` and returns what every module gives, by its name."""

    def run(images: np.ndarray) -> Values:
        values: dict[str, np.ndarray] = {}
        handles = [
            module.register_forward_hook(_recorder(values, name))
            for name, module in model.named_modules()
            if name
        ]
        try:
            with torch.no_grad():
                found = model(torch.from_numpy(images))
        finally:
            for handle in handles:
                handle.remove()
        named = {name: values[module] for module, name in model.streams.items()}
        results = zip(outputs, all_results(found), strict=True)
        return {**values, **named, **{name: result.numpy() for name, result in results}}

    return run


def _recorder(values: dict[str, np.ndarray], name: str) -> Any:
    def record(module: torch.nn.Module, args: Any, result: Any) -> None:
        if isinstance(result, torch.Tensor):
            values[name] = result.numpy()

    return record
