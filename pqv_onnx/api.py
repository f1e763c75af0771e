"""The package's functions for other programs: each does what the command of its name does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pqv_onnx.checkpoint import load_qat as load
from pqv_onnx.errors import PqvError, check_count
from pqv_onnx.graph.export import export_qat as export
from pqv_onnx.progress import Progress, silent
from pqv_onnx.qat import Calibration, QuantModel, convert_to_qat
from pqv_onnx.qat import calibrate as choose_quantization
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.data import Split
from pqv_onnx.train.evaluate import Accuracy, evaluate_split, subjects_of
from pqv_onnx.workflow.options import Options
from pqv_onnx.workflow.quantize import quantize as quantize_to

__all__ = ["calibrate", "evaluate", "export", "load", "quantize"]


def quantize(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    progress: Progress = silent,
    **options: Any,
) -> dict[str, Any]:
    """Quantize a model of timm on a folder of images, to a folder that an app can take.

    Args:
        model: timm's name, or a QAT checkpoint.
        output: the folder to make: model.onnx, model.safetensors, report.json, README.md.
        progress: told how far it is.
        **options: the fields of `pqv_onnx.workflow.options.Options`, as ``data``, ``pretrained``,
            ``precision`` or ``max_drop``.

    Returns:
        What is in ``report.json``.

    Raises:
        PqvError: see `pqv_onnx.workflow.quantize.quantize`.
        TypeError: there is no such option.
    """
    return quantize_to(model, output, Options(**options), progress=progress)


def calibrate(
    model: nn.Module,
    images: Tensor | Iterable[Tensor],
    precision: str = "w8a8",
    *,
    labels: tuple[str, ...] | None = None,
    task: str | None = None,
    quick: bool = False,
) -> QuantModel:
    """Quantize a float model on some images without labels.

    Args:
        model: a transformer of timm.
        images: normalised, float [B, C, H, W], or batches of them; some hundred.
        precision: ``w8a8``, ``w7a7``, ``w4a8`` or ``w4a4``.
        labels: a name for each class; by default ImageNet's, if the classes are.
        task: what it gives: ``logits``, an ``embedding``, ``tokens``, ...: see `convert_to_qat`.
        quick: whether nothing is reconstructed: faster, and less exact.

    Returns:
        A model for `export`, in evaluation mode.

    Raises:
        PqvError: the model is not supported, or the images are not what it takes.
    """
    quantized = convert_to_qat(model, QuantSpec.preset(precision), labels=labels, task=task)
    choose_quantization(quantized, images, Calibration.of(quick=quick))
    return quantized.eval()


def evaluate(
    models: Sequence[str | os.PathLike[str]],
    data: str | os.PathLike[str],
    *,
    split: str = "validation",
    name: str | None = None,
    batch_size: int = 32,
    progress: Progress = silent,
) -> list[Accuracy]:
    """Top-1, top-5 and agreement with float of models over the same images.

    Args:
        models: a list of files: float weights, QAT checkpoints, exported models.
        data: folder of the data, with its splits.
        split: which of them.
        name: timm's, of float weights.
        batch_size: images at a time.
        progress: told of the images that are done.

    Raises:
        PqvError: there is no list of files, a file is of no such kind, the models want different
            images, or the data do not fit them.
    """
    if isinstance(models, str | os.PathLike) or not models:
        raise PqvError(f"models is {models!r}, expected a list of at least one file")
    check_count("batch_size", batch_size, 1)
    subjects = [subject for path in models for subject in subjects_of(Path(path), name)]
    return evaluate_split(subjects, Split("", str(data), split), batch_size, progress=progress)
