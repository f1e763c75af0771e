"""A float model to a calibrated quantized one: post-training quantization, and QAT's start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat import Calibration, ModelConfig, QuantModel, calibrate, convert_to_qat
from pqv_onnx.runtime.labels import read_labels
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.data import Split, eval_batches
from pqv_onnx.train.folders import folder_labels
from pqv_onnx.train.models import preprocessing_of
from pqv_onnx.train.transforms import normalise

_ANY_CLASSES = 2**31
"""For models that give no logits, whose images may be of any class."""


def quantize(
    model: nn.Module,
    spec: QuantSpec,
    split: Split,
    *,
    images: int,
    batch_size: int = 32,
    seed: int = 0,
    initialization: str = "search",
    progress: Callable[[int], None] = lambda images: None,
) -> QuantModel:
    """Convert a float model and choose its steps on images of ``split``.

    Args:
        model: a timm model.
        spec: the quantization scheme.
        split: where the images come from.
        images: how many to use, chosen at random.
        batch_size: images read at a time.
        seed: of the choice.
        initialization: of the steps, as in ``calibrate``.
        progress: called with the number of images of each batch when it was read.

    Returns:
        A calibrated model in evaluation mode.

    Raises:
        PqvError: the model is not supported, or an image cannot be read.
    """
    quantized = convert_to_qat(model, spec)
    data = read_images(quantized.config, split, images, batch_size, seed, progress)
    calibrate(quantized, data, Calibration(initialization))
    return quantized.eval()


def name_classes(model: QuantModel, file: Path | None, split: Split | None = None) -> None:
    """Give a model's classes the names in a file, else those of a data set's folders.

    Where there is no file, and no folder for each class, they keep the names that they have.

    Args:
        model: its config is exchanged.
        file: a name a line.
        split: of the data set.

    Raises:
        PqvError: the file is no list of labels or has not as many as the model has classes, or
            the split cannot be opened.
    """
    classes = model.config.backbone.num_classes
    labels = None
    if file is not None:
        labels = read_labels(file)
        if len(labels) != classes:
            raise PqvError(f"{file}: found {len(labels)} labels, the model has {classes} classes")
    elif split is not None and classes:
        labels = folder_labels(split.open(model.config.backbone.in_chans, False, 1, 0), classes)
    if labels is not None:
        model.config = replace(model.config, labels=labels)


def read_images(
    config: ModelConfig,
    split: Split,
    images: int,
    batch_size: int = 32,
    seed: int = 0,
    progress: Callable[[int], None] = lambda images: None,
) -> list[Tensor]:
    """Batches of normalised images [B, C, H, W] for a model.

    Args:
        config: of the model.
        split: where the images come from.
        images: how many to use, chosen at random.
        batch_size: images read at a time.
        seed: of the choice.
        progress: called with the number of images of each batch when it was read.

    Raises:
        PqvError: the split cannot be opened, or an image cannot be read.
    """
    preprocessing = preprocessing_of(config)
    classes = config.backbone.num_classes or _ANY_CLASSES
    batches, _ = eval_batches(split, preprocessing, classes, batch_size, limit=images, seed=seed)
    inputs = []
    for pixels, _ in batches:
        inputs.append(normalise(pixels, preprocessing))
        progress(len(pixels))
    return inputs
