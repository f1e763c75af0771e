from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from striped import PLAIN
from timm.data.auto_augment import AugmentOp

from pqv_onnx.train.recipe import Augmentation
from pqv_onnx.train.transforms import eval_transform, train_transform


def test_evaluation_makes_images_as_the_runtime_does(folders: Path) -> None:
    path = folders / "validation" / "down" / "3.png"
    with Image.open(path) as image:
        pixels = eval_transform(PLAIN)(image.convert("RGB"))
    as_float = PLAIN.from_pixels(pixels[None].numpy())
    assert torch.equal(torch.from_numpy(as_float), torch.from_numpy(PLAIN.load(path)))


@pytest.mark.parametrize("bits", range(5))
def test_posterize_keeps_as_many_bits_as_randaugment_draws(bits: int) -> None:
    """None, too: the magnitude of rand-m9-mstd0.5-inc1 reaches 10."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    augmented = AugmentOp("PosterizeIncreasing", prob=1.0, magnitude=10 - 2.5 * bits)(
        Image.fromarray(pixels)
    )
    kept = 256 - (1 << (8 - bits)) if bits else 0
    assert np.array_equal(np.asarray(augmented), pixels & kept)


@pytest.mark.parametrize("augmented", [None, False, True])
def test_loader_processes_that_are_not_forked_get_transforms(augmented: bool | None) -> None:
    image = Image.fromarray(np.arange(40 * 30 * 3, dtype=np.uint8).reshape(40, 30, 3))
    if augmented is None:
        transform = eval_transform(PLAIN)
    else:
        transform = train_transform(PLAIN, Augmentation(enabled=augmented))
    again = pickle.loads(pickle.dumps(transform))(image)
    assert again.shape == transform(image).shape
    assert augmented or torch.equal(again, transform(image))
