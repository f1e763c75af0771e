"""A float model to a calibrated quantized one: post-training quantization, and QAT's start."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from pqv_onnx.qat import Calibration, ModelConfig, QuantModel, calibrate, convert_to_qat
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.data import Split, eval_batches
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
