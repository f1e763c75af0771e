"""The demo's digits as a dataset named ``digits``, and its model, for ``--import``."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from pqv_onnx.demo import model as _model  # noqa: F401 - registers the model with timm
from pqv_onnx.demo.data import Split, load_split
from pqv_onnx.errors import PqvError
from pqv_onnx.train.data import register_dataset

_SPLITS = ("train", "validation")


class GreyImages(Dataset[Any]):
    """Pairs of a grey PIL image and a class."""

    def __init__(self, split: Split) -> None:
        """Take the images of a split."""
        self.split = split

    def __len__(self) -> int:
        """Number of images."""
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """One image and its class."""
        pixels = self.split.images[index, 0].numpy()
        return Image.fromarray(pixels), int(self.split.labels[index])


def make_digits(root: str | None, split: str) -> GreyImages:
    """The ``train`` or the ``validation`` split; there is no folder."""
    if split not in _SPLITS:
        raise PqvError(f"digits have no split {split!r}, expected {' or '.join(_SPLITS)}")
    return GreyImages(load_split()[_SPLITS.index(split)])


register_dataset("digits", make_digits)
