"""A hard small benchmark on real data: which digit of a cluttered scene is marked?

A scene of 48 x 48 grey pixels has nine places, most of them taken by a digit of scikit-learn's
data set, each turned, scaled, shifted and dimmed at random, under strokes of other digits, over an
uneven background, with noise. Four corners frame one place; its digit is the class. All the
other digits are distractors, so the model must attend to the marked place.

Scenes are drawn from a seed and never stored. No digit is in the scenes of two splits: those of
``validation``, for choices, and ``test``, for results, are halves of what
``pqv_onnx.demo.data`` keeps from training. ``--import pqv_onnx.train.scenes`` gives the dataset
``scenes`` and timm's model ``vit_scenes_patch8_48``.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from pqv_onnx.demo.data import Split, load_split
from pqv_onnx.demo.model import grey_cfgs, grey_vit
from pqv_onnx.errors import PqvError
from pqv_onnx.train.data import register_dataset
from pqv_onnx.train.digits import GreyImages

MODEL_NAME = "vit_scenes_patch8_48"
IMAGE_SIZE = 48
# Of the training scenes scaled to [0, 1].
MEAN, STD = 0.337, 0.238

_GRID, _PLACE = 3, 16  # places per side, pixels per place
_STROKES = 4
_CHUNK = 1024  # scenes drawn at a time
_SPLITS = {"train": (20480, 1), "validation": (2048, 2), "test": (16384, 3)}  # scenes, seed


class _Random:
    """Uniform numbers for each scene of a chunk."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.generator = count, torch.Generator().manual_seed(seed)

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(self.count, *shape, generator=self.generator)

    def below(self, limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, (self.count, *shape), generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.count, *shape, generator=self.generator)


def _paste(pictures: Tensor, x: Tensor, y: Tensor, half: Tensor, angle: Tensor) -> Tensor:
    """Pictures [n, 1, h, w] turned by ``angle`` [n], 2 ``half`` pixels wide, centred at (x, y)."""
    middle = IMAGE_SIZE / 2
    dx, dy = (middle - x) / half, (middle - y) / half
    cosine, sine = angle.cos(), angle.sin()
    zoom = middle / half
    rows = [
        torch.stack([cosine * zoom, sine * zoom, cosine * dx + sine * dy], 1),
        torch.stack([-sine * zoom, cosine * zoom, cosine * dy - sine * dx], 1),
    ]
    size = [len(pictures), 1, IMAGE_SIZE, IMAGE_SIZE]
    grid = F.affine_grid(torch.stack(rows, 1), size, align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def _corners(place: Tensor) -> Tensor:
    """Where the corners that frame ``place`` [n] are, boolean [n, 1, height, width]."""
    axis = torch.arange(IMAGE_SIZE) + 0.5
    row, column = place // _GRID, place % _GRID
    dy = (axis - ((row + 0.5) * _PLACE)[:, None]).abs()[:, :, None]
    dx = (axis - ((column + 0.5) * _PLACE)[:, None]).abs()[:, None, :]
    outer, inner = torch.maximum(dx, dy), torch.minimum(dx, dy)
    half = _PLACE / 2
    return ((outer > half - 1) & (outer < half) & (inner > half / 2))[:, None]


def draw_scenes(digits: Split, count: int, seed: int) -> Split:
    """Draw scenes.

    Args:
        digits: what they are made of.
        count: how many.
        seed: the same seed gives the same scenes.

    Returns:
        Images uint8 [count, 1, 48, 48] and the classes of the marked digits, int64 [count].
    """
    source = digits.images.float() / 255
    strokes = source[..., 8:24, 8:24]
    random = _Random(count, seed)
    chosen = random.below(len(digits), _GRID**2)
    marked = random.below(_GRID**2)
    taken = random.between(0, 1, _GRID**2) < 0.75
    scene = torch.arange(count)
    taken[scene, marked] = True

    ink = torch.zeros(count, 1, IMAGE_SIZE, IMAGE_SIZE)
    for place in range(_GRID**2):
        row, column = divmod(place, _GRID)
        x = (column + 0.5) * _PLACE + random.between(-2, 2)
        y = (row + 0.5) * _PLACE + random.between(-2, 2)
        half = _PLACE / 2 * 0.75 * (1.15 / 0.75) ** random.between(0, 1)
        angle = random.between(-math.radians(25), math.radians(25))
        brightness = random.between(0.6, 1.0) * taken[:, place]
        picture = _paste(source[chosen[:, place]], x, y, half, angle)
        ink = torch.maximum(ink, picture * brightness[:, None, None, None])
    for _ in range(_STROKES):
        picture = _paste(
            strokes[random.below(len(digits))],
            random.between(0, IMAGE_SIZE),
            random.between(0, IMAGE_SIZE),
            random.between(2.5, 5),
            random.between(0, 2 * math.pi),
        )
        ink = torch.maximum(ink, picture * random.between(0.4, 0.8, 1, 1, 1))
    ink = torch.where(_corners(marked), 1.0, ink)
    ground = F.interpolate(random.between(0, 0.35, 1, 4, 4), IMAGE_SIZE, mode="bicubic")
    noise = 0.08 * random.normal(1, IMAGE_SIZE, IMAGE_SIZE)
    pixels = (ground + (1 - ground) * ink + noise).clamp(0, 1)
    labels = digits.labels[chosen[scene, marked]]
    return Split((pixels * 255).round().to(torch.uint8), labels)


@functools.cache
def load_scenes(split: str) -> Split:
    """The scenes of ``train``, ``validation`` or ``test``, always the same.

    Raises:
        PqvError: there is no such split.
    """
    if split not in _SPLITS:
        raise PqvError(f"scenes have no split {split!r}, expected {' or '.join(_SPLITS)}")
    digits, (count, seed) = _digits(split), _SPLITS[split]
    chunks = [draw_scenes(digits, _CHUNK, seed << 16 | i) for i in range(count // _CHUNK)]
    return Split(torch.cat([c.images for c in chunks]), torch.cat([c.labels for c in chunks]))


def _digits(split: str) -> Split:
    train, rest = load_split()
    if split == "train":
        return train
    # Halves of each class: the digits of a class in turn.
    order = torch.argsort(rest.labels, stable=True)[["validation", "test"].index(split) :: 2]
    return Split(rest.images[order], rest.labels[order])


register_dataset("scenes", lambda root, split: GreyImages(load_scenes(split)))

default_cfgs = grey_cfgs(MODEL_NAME, IMAGE_SIZE, MEAN, STD)


@register_model
def vit_scenes_patch8_48(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT of 48 x 48 images: 4 blocks of width 64, 0.2 M parameters."""
    return grey_vit(MODEL_NAME, IMAGE_SIZE, 64, pretrained, kwargs)
