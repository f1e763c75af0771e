"""One of our rows to a quantized model: the only place that knows what a row's options mean."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks.accuracy.pretrained.data import preprocessing
from benchmarks.accuracy.pretrained.rows import Row
from pqv_onnx.demo.data import Split
from pqv_onnx.demo.train import Schedule, fit
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import (
    Calibration,
    QuantModel,
    Reconstruction,
    calibrate,
    convert_to_qat,
    real_weights,
    round_weights,
)
from pqv_onnx.qat.reconstruction import METHOD
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.transforms import normalise

_SCHEMES = ("attention", "gelu", "residual", "qkv", "norm", "context")
_CALIBRATION = (
    "initialization",
    "centering",
    "balancing",
    "bias_correction",
    "widening",
    "reconstruction",
)
_OF_FLOAT = ("epochs", "learning_rate", "optimizer", "soft_labels")
_TRAINING = (*_OF_FLOAT, "rounding")
_OPTIONS = (*_SCHEMES, *_CALIBRATION, *_TRAINING)
_BATCH = 32


def quantize(row: Row, float_model: nn.Module, images: Tensor) -> QuantModel:
    """The calibrated model of a row, not trained as such.

    Args:
        row: one of ours.
        float_model: what to quantize; it is left as it is.
        images: normalised, float32 [N, 3, H, W].

    Raises:
        PqvError: an option is unknown, or the model cannot be quantized so.
    """
    options = row.options
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise PqvError(f"row {row.key}: unknown option {unknown[0]!r}")
    model = convert_to_qat(float_model, spec_of(row))
    calibrate(model, images, calibration_of(row))
    return model.eval()


def is_trained_in_float(row: Row) -> bool:
    """Whether it is the float model of a row that is trained, and quantized then."""
    return row.options.get("rounding") == "after"


def calibration_of(row: Row) -> Calibration:
    """How a row is calibrated; ``reconstruction`` is None for none, or some changes of it."""
    changes = {name: row.options[name] for name in _CALIBRATION if name in row.options}
    reconstruction = changes.pop("reconstruction", {})
    made = None if reconstruction is None else Reconstruction(**reconstruction)
    return Calibration(**changes, reconstruction=made)


def spec_of(row: Row) -> QuantSpec:
    """The quantization scheme of a row."""
    schemes = {kind: row.options[kind] for kind in _SCHEMES if kind in row.options}
    return QuantSpec.preset(row.precision).with_schemes(schemes)


def calibrated_key(row: Row, settings: Mapping[str, Any]) -> str:
    """A name for what `quantize` makes of a row with the benchmark's settings."""
    options = {key: value for key, value in row.options.items() if key not in _TRAINING}
    method = None if calibration_of(row).reconstruction is None else METHOD
    return _hashed([row.precision, options, settings, method])


def trained_key(row: Row, settings: Mapping[str, Any]) -> str:
    """A name for what `train` makes of the float model for a row, with the benchmark's settings."""
    options = {name: row.options[name] for name in _OF_FLOAT if name in row.options}
    return _hashed([options, settings])


def train(
    row: Row,
    model: nn.Module,
    teacher: nn.Module,
    load: Callable[[], tuple[Tensor, Tensor]],
    images: Tensor,
    seed: int,
) -> None:
    """Train a row's model in place, if it is to be trained.

    Args:
        row: a float one, or one of ours.
        model: the float model, or a calibrated one.
        teacher: the float model, whose soft labels may be what is learned.
        load: gives uint8 pixels [N, H, W, 3] and classes; called only if they are needed.
        images: of `quantize`, for weights that are rounded after training.
        seed: of the order of the images.
    """
    if not row.options.get("epochs"):
        return
    weights_after = row.options.get("rounding") == "weights-after"
    with real_weights() if weights_after else nullcontext():
        _fit(row, model, teacher if row.options.get("soft_labels") else None, *load(), seed)
    if weights_after:
        assert isinstance(model, QuantModel)
        round_weights(model, images, calibration_of(row).reconstruction or Reconstruction())


def _fit(
    row: Row,
    model: nn.Module,
    teacher: nn.Module | None,
    pixels: Tensor,
    labels: Tensor,
    seed: int,
) -> None:
    wanted = preprocessing(pixels.shape[1])
    schedule = Schedule(
        row.options["epochs"],
        row.options["learning_rate"],
        warmup_epochs=0,
        batch_size=_BATCH,
        optimizer=row.options["optimizer"],
    )
    fit(
        model,
        Split(pixels, labels),
        schedule,
        seed=seed,
        title=row.key,
        teacher=teacher,
        prepare=lambda images, _: normalise(images, wanted),
    )


def export(model: QuantModel, path: Path) -> None:
    """Write the integer model of float images to an ONNX file."""
    export_onnx(convert_to_integer(model), path)


def _hashed(origin: list[Any]) -> str:
    return hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:12]
