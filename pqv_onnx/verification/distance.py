"""How far a file of standard ops is from the checkpoint that it was exported from, by value."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from pqv_onnx.checkpoint import load_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.graph.load import load_model, metadata, result_names, takes_image
from pqv_onnx.graph.qdq import Common
from pqv_onnx.qat import QuantModel
from pqv_onnx.qat.noise import decibels
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.trace.values import all_results
from pqv_onnx.verification.runners import Runner, expose_values
from pqv_onnx.verification.verify import model_images


@dataclass(frozen=True)
class Distance:
    """Of one value.

    Attributes:
        name: the quantizer's in the checkpoint, or the output's.
        equal: share of codes that are equal; None of an output, which has none.
        sqnr: of the file's values against the checkpoint's, dB; None if they are equal.
    """

    name: str
    equal: float | None
    sqnr: float | None


def standard_distances(
    path: str | os.PathLike[str] | onnx.ModelProto,
    checkpoint: str | os.PathLike[str],
    *,
    images: np.ndarray | None = None,
    count: int = 3,
    seed: int = 0,
) -> list[Distance]:
    """Run a QDQ or float file on onnxruntime beside the fake-quantized model.

    Args:
        path: of `export_standard`'s file, or what `load_model` gives of it.
        checkpoint: what it was exported from.
        images: in the file's type and layout; random ones if None.
        count: how many of them, or of random ones, to use.
        seed: for random images.

    Returns:
        The distance of every value that both quantize, in the order of the graph, and of the
        output of the file as users run it: onnxruntime fuses more where no value is looked at.
        An error is carried on: a value is as far off as all before it made it.

    Raises:
        PqvError: a file is not what it should be, or images do not fit the model's input.
    """
    proto = load_model(path)
    model = load_qat(checkpoint).eval()
    stated = metadata(proto).get("pqv.checkpoint_sha256")
    if stated != model.checkpoint_sha256:
        raise PqvError(f"the model was not exported from {checkpoint}")
    given = model_images(proto, images, count, seed)
    if not takes_image(proto):
        given = given[:count]
    found = _run(expose_values(proto), given) | _run(proto.SerializeToString(), given)
    # Of a file with a front end, what that makes: it is compared elsewhere.
    normalised = found.get("images", torch.from_numpy(given))
    wanted, results = _quantized(model, normalised)
    distances = [
        Distance(name, value.equal(own), _sqnr(value.real, own))
        for name, value in wanted.items()
        if (key := f"{name}/DequantizeLinear") in found
        for own in [value.in_channels(found[key])]
    ]
    last = zip(result_names(proto), results, strict=True)
    return distances + [Distance(name, None, _sqnr(one, found[name])) for name, one in last]


def _run(model: bytes, images: np.ndarray) -> dict[str, Tensor]:
    """All outputs of a model by name."""
    runner = Runner("onnxruntime", None, 1)
    values = runner.run(runner.session(model), images)
    return {name: torch.from_numpy(value) for name, value in values.items()}


@dataclass(frozen=True)
class _Quantized:
    """What a quantizer gave."""

    real: Tensor
    quantizer: Quantizer

    def in_channels(self, found: Tensor) -> Tensor:
        """What was dequantized by one step, by that of each channel."""
        return Common(self.quantizer).behind(found)

    def equal(self, found: Tensor) -> float:
        """The share of ``found`` within half a step."""
        half = self.quantizer.channel_step / 2
        return ((found - self.real).abs() < half).double().mean().item()


@torch.no_grad()
def _quantized(
    model: QuantModel, images: Tensor
) -> tuple[dict[str, _Quantized], tuple[Tensor, ...]]:
    """What every quantizer of the fake-quantized model gives, by name, and the results."""
    values: dict[str, _Quantized] = {}

    def recorder(name: str) -> Callable[..., None]:
        def record(quantizer: Quantizer, _args: Any, real: Tensor) -> None:
            values[name] = _Quantized(real, quantizer)

        return record

    handles = [
        module.register_forward_hook(recorder(name))
        for name, module in model.named_modules()
        if isinstance(module, Quantizer) and not isinstance(module, WeightQuantizer)
    ]
    try:
        return values, all_results(model(images))
    finally:
        for handle in handles:
            handle.remove()


def _sqnr(reference: Tensor, found: Tensor) -> float | None:
    noise = (found - reference).double().square().sum().item()
    signal = reference.double().square().sum().item()
    ratio = decibels(signal, noise)
    return ratio if math.isfinite(ratio) else None
