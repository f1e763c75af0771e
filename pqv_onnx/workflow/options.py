"""What `quantize` is asked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path

from pqv_onnx.errors import PqvError, check_count
from pqv_onnx.files import file_hash
from pqv_onnx.runtime.preprocess import InputFormat
from pqv_onnx.spec import PRESETS
from pqv_onnx.train.models import FloatSource
from pqv_onnx.version import __version__

MIXED = "mixed"
LADDER = ("w4a4", "w4a8", MIXED, "w7a7", "w8a8")
"""Precisions from the smallest file to the largest, of equal ones the fastest first."""
_LEAST = {
    **{"images": 1, "evaluation_images": 1, "batch_size": 1, "steps": 1, "top_k": 1},
    **{"workers": 0, "seed": 0, "random_weights": 0, "num_classes": 0},
}
"""What the numbers are at least."""


@dataclass(frozen=True)
class Options:
    """How a model is quantized, and on which images.

    Attributes:
        data: folder of images, with a folder per class and splits or without.
        dataset: timm's name of another kind of data set.
        weights: file of float weights.
        random_weights: seed of random ones.
        pretrained: whether they are timm's.
        num_classes: of a new, random head.
        image_size: height and width of the images; by default what the model is made for.
        precision: one of ``LADDER``; by default ``w8a8``, or the checkpoint's.
        max_drop: percentage points of top-1 (of images that keep their class, if the images have
            no labels) that may be lost; the first precision of ``LADDER`` that holds it is taken.
        labels: file with a name of a class a line.
        task: ``logits``, ``embedding``, ``unit_embedding``, ``tokens`` or ``features``.
        input: of the file: ``uint8`` pixels [batch, H, W, C], normalised ``float``, or ``image``
            for one of any size.
        top_k: give the probabilities and numbers of so many best classes, too.
        images: to calibrate on.
        evaluation_images: others, to evaluate on.
        quick: whether nothing is reconstructed: faster, and less exact.
        steps: updates of each part in reconstruction.
        batch_size: images at a time.
        workers: processes that load images.
        seed: of the choice of images.
    """

    data: str | Path | None = None
    dataset: str = ""
    weights: str | Path | None = None
    random_weights: int | None = None
    pretrained: bool = False
    num_classes: int | None = None
    image_size: tuple[int, int] | None = None
    precision: str | None = None
    max_drop: float | None = None
    labels: str | Path | None = None
    task: str | None = None
    input: InputFormat = "uint8"
    top_k: int | None = None
    images: int = 256
    evaluation_images: int = 1000
    quick: bool = False
    steps: int | None = None
    batch_size: int = 32
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without a model."""
        for name, least in _LEAST.items():
            if (value := getattr(self, name)) is not None or getattr(Options, name) is not None:
                check_count(name, value, least)
        if self.image_size is not None:
            _check_size(self.image_size)
        if self.source.given > 1:
            raise PqvError("give one of --weights, --random-weights and --pretrained")
        if self.precision is not None and self.precision not in LADDER:
            raise PqvError(f"precision is {self.precision!r}, expected {', '.join(LADDER)}")
        if self.input == "encoded":
            raise PqvError(
                "input encoded is not for apps of every kind: take image, or afterwards "
                "pqv export --checkpoint OUT/model.safetensors --input encoded"
            )
        if self.precision is not None and self.max_drop is not None:
            raise PqvError("a precision and a largest drop were given, expected one of them")
        drop = 0 if self.max_drop is None else self.max_drop
        if not isinstance(drop, Real) or not 0 <= drop <= 100:
            raise PqvError(f"the largest drop is {drop!r}, expected 0 to 100")
        if self.task not in (None, "logits") and self.by_classes:
            raise PqvError(f"a largest drop and {MIXED} need logits, the task is {self.task}")

    @property
    def source(self) -> FloatSource:
        """The float weights."""
        file = None if self.weights is None else Path(self.weights)
        return FloatSource(
            file, self.random_weights, self.pretrained, self.image_size, self.num_classes
        )

    @property
    def by_classes(self) -> bool:
        """Whether a precision is chosen by what becomes of the classes."""
        return self.max_drop is not None or self.precision == MIXED

    @property
    def precisions(self) -> tuple[str, ...]:
        """What is tried, the cheapest first."""
        return LADDER if self.max_drop is not None else (self.precision or "w8a8",)

    def key(self, *others: object) -> str:
        """A hash of everything that a calibration depends on.

        Args:
            *others: what it depends on, too: the model, the weights, the images.
        """
        fields = {name: str(value) for name, value in asdict(self).items()}
        for name in ("max_drop", "precision", "evaluation_images", "workers", "input", "top_k"):
            del fields[name]
        if self.labels is not None:
            fields["labels"] = file_hash(self.labels)
        text = json.dumps([__version__, fields, *map(str, others)])
        return hashlib.sha256(text.encode()).hexdigest()


def _check_size(size: object) -> None:
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise PqvError(f"image_size is {size!r}, expected (height, width)")
    for side in size:
        check_count("a side of image_size", side, 1)


assert set(PRESETS) == set(LADDER) - {MIXED}
