"""timm's transforms of images, and what they end in: pixels or normalised numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import auto_augment, create_transform
from torch import Tensor

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.images import as_pixels
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.train.recipe import Augmentation


def posterize(image: Image.Image, bits: int, **options: Any) -> Image.Image:
    """timm's posterize; with no bit left an image is black, which Pillow refuses from 13 on."""
    if bits < 1:
        return image.point(lambda _: 0)
    posterized: Image.Image = auto_augment.posterize(image, bits, **options)
    return posterized


# RandAugment at magnitude 9 draws no bits for one image in some hundreds.
auto_augment.NAME_TO_OP.update(
    {name: posterize for name in auto_augment.NAME_TO_OP if name.startswith("Posterize")}
)


def eval_transform(preprocessing: ModelInput) -> Callable[[Image.Image], Tensor]:
    """timm's evaluation transform up to the pixels, uint8 [H, W, C]; none for models of images."""
    transform = create_transform(
        (preprocessing.channels, preprocessing.height, preprocessing.width),
        crop_pct=preprocessing.crop_pct,
        crop_mode=preprocessing.crop_mode,
        interpolation=preprocessing.interpolation,
        use_prefetcher=True,
    )
    return partial(_to_pixels, preprocessing, transform)


# Functions of their own: loader processes that are not forked get them by their names.
def _to_pixels(preprocessing: ModelInput, transform: Any, image: Image.Image) -> Tensor:
    preprocessing.check_resized(*image.size)
    if preprocessing.input == "image":
        return torch.from_numpy(as_pixels(image).copy())
    return torch.from_numpy(np.asarray(transform(image)).transpose(1, 2, 0).copy())


def _to_numbers(preprocessing: ModelInput, to_pixels: Any, image: Image.Image) -> Tensor:
    return normalise(to_pixels(image)[None], preprocessing)[0]


def train_transform(
    preprocessing: ModelInput, augmentation: Augmentation
) -> Callable[[Image.Image], Tensor]:
    """timm's training transform, to normalised float [C, H, W].

    Raises:
        PqvError: timm does not know what the recipe asks for.
    """
    if not augmentation.enabled:
        return partial(_to_numbers, preprocessing, eval_transform(preprocessing))
    try:
        transform: Callable[[Image.Image], Tensor] = create_transform(
            (preprocessing.channels, preprocessing.height, preprocessing.width),
            is_training=True,
            scale=augmentation.scale,
            ratio=augmentation.ratio,
            hflip=augmentation.hflip,
            color_jitter=augmentation.color_jitter,
            auto_augment=augmentation.auto_augment or None,
            interpolation=augmentation.interpolation,
            re_prob=augmentation.random_erasing,
            re_mode="pixel",
            mean=preprocessing.mean,
            std=preprocessing.std,
        )
    except (AssertionError, KeyError, ValueError) as error:
        raise PqvError(f"train.augmentation: timm has no such transform: {error!r}") from error
    return transform


def normalise(pixels: Tensor, preprocessing: ModelInput) -> Tensor:
    """uint8 [B, H, W, C] to float [B, C, H, W], with the bits that exported models get."""
    as_float = replace(preprocessing, input="float", layout="nchw")
    return torch.from_numpy(as_float.from_pixels(pixels.numpy()))
