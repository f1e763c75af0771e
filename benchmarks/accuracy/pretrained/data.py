"""Images for the benchmark: Fashion-MNIST of Debian's package, or a folder of folders by class.

Test images come in one fixed order, calibration images are drawn from the training images.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor
from torch.utils.data import Dataset

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.train.folders import open_folder
from pqv_onnx.train.transforms import eval_transform, normalise

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""
_FILES = {"train": "train", "test": "t10k"}
_FOLDERS = {"train": "train", "test": "validation"}
_ORDER = 0
"""The seed of the order of test images and of training images for the head."""


class FashionMnist(Dataset[tuple[Image.Image, int]]):
    """A split as grey images of 28 x 28 and their classes."""

    def __init__(self, root: Path, split: str) -> None:
        """Read the split.

        Raises:
            PqvError: there is no such split, or a file is missing or damaged.
        """
        if split not in _FILES:
            raise PqvError(f"Fashion-MNIST has no split {split}, expected train or test")
        self.pixels = _read_idx(root / f"{_FILES[split]}-images-idx3-ubyte.gz", 3)
        self.labels = _read_idx(root / f"{_FILES[split]}-labels-idx1-ubyte.gz", 1)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self.pixels[index]), int(self.labels[index])


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array of a gzipped IDX file."""
    if not path.is_file():
        raise PqvError(
            f"{path}: no such file: install Debian's package dataset-fashion-mnist, "
            "or name a folder of images (--data)"
        )
    try:
        content = gzip.decompress(path.read_bytes())
        shape = np.frombuffer(content, ">i4", dimensions, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 * (1 + dimensions)).reshape(shape)
    except (OSError, EOFError, ValueError) as error:
        raise PqvError(f"{path}: is no readable IDX file ({error})") from error


def open_split(split: str, data: Path | None = None) -> Any:
    """A split's pairs of a PIL image and a class, in the order of its files.

    Args:
        split: ``train`` or ``test``; in folders the latter is timm's validation split.
        data: a folder with a folder per split, with one per class in each; else Fashion-MNIST.

    Raises:
        PqvError: it cannot be found or read.
    """
    if data is None or (data / "t10k-images-idx3-ubyte.gz").is_file():
        return FashionMnist(data or FASHION_MNIST, split)
    try:
        return open_folder(str(data), _FOLDERS[split], "RGB")
    except RuntimeError as error:  # timm's own, of no images
        raise PqvError(f"{data}: {error}") from error


def classes_of(data: Path | None = None) -> int:
    """How many classes the training images have."""
    source = open_split("train", data)
    if isinstance(source, FashionMnist):
        return int(source.labels.max()) + 1
    return len(source.reader.class_to_idx)


def preprocessing(image_size: int) -> ModelInput:
    """How the backbone wants its images."""
    mean, std = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    return ModelInput(mean, std, channels=3, height=image_size, width=image_size)


def load_pixels(
    split: str,
    count: int | None = None,
    seed: int = _ORDER,
    *,
    image_size: int = 112,
    data: Path | None = None,
    start: int = 0,
) -> tuple[Tensor, Tensor]:
    """Resized images, uint8 [N, H, W, 3], and their classes, int64 [N].

    Args:
        split: ``train`` or ``test``.
        count: how many; all if none is given, or if there are fewer.
        seed: of the order of training images; that of test images is always the same. An order
            begins alike for any count.
        image_size: in pixels.
        data: see `open_split`.
        start: how many images of the order to leave out.

    Raises:
        PqvError: the split cannot be found or read, or has no image so far down its order.
    """
    source = open_split(split, data)
    order = np.random.default_rng(seed if split == "train" else _ORDER).permutation(len(source))
    chosen = order[start : None if count is None else start + count]
    if not len(chosen):
        raise PqvError(f"the split {split} has {len(source)} images, expected more than {start}")
    transform = eval_transform(preprocessing(image_size))
    items = [source[int(index)] for index in chosen]
    pixels = torch.stack([transform(image.convert("RGB")) for image, _ in items])
    return pixels, torch.tensor([label for _, label in items])


def load_images(
    split: str,
    count: int | None = None,
    seed: int = _ORDER,
    *,
    image_size: int = 112,
    data: Path | None = None,
) -> tuple[Tensor, Tensor]:
    """Normalised images, float32 [N, 3, H, W], and their classes; arguments of `load_pixels`."""
    pixels, labels = load_pixels(split, count, seed, image_size=image_size, data=data)
    return normalise(pixels, preprocessing(image_size)), labels


def batches(pixels: Tensor, size: int) -> Iterator[Tensor]:
    """Normalised images, a batch at a time: all of a test split would take gigabytes."""
    wanted = preprocessing(pixels.shape[1])
    for part in pixels.split(size):
        yield normalise(part, wanted)
