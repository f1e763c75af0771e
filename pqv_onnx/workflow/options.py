"""What `quantize` is asked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.preprocess import InputFormat
from pqv_onnx.spec import PRESETS
from pqv_onnx.train.models import FloatSource
from pqv_onnx.version import __version__

MIXED = "mixed"
LADDER = ("w4a4", "w4a8", MIXED, "w8a8")
"""Precisions from the smallest file to the largest."""


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
        quick: whether steps are chosen only, without reconstruction.
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
        if self.precision is not None and self.precision not in LADDER:
            raise PqvError(f"precision is {self.precision!r}, expected {', '.join(LADDER)}")
        if self.input == "encoded":
            raise PqvError(
                "input encoded is not for apps of every kind: take image, or afterwards "
                "pqv export --checkpoint OUT/model.safetensors --input encoded"
            )
        if self.precision is not None and self.max_drop is not None:
            raise PqvError("a precision and a largest drop were given, expected one of them")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise PqvError(f"the largest drop is {self.max_drop}, expected 0 to 100")
        by_classes = self.max_drop is not None or self.precision == MIXED
        if self.task not in (None, "logits") and by_classes:
            raise PqvError(f"a largest drop and {MIXED} need logits, the task is {self.task}")

    @property
    def source(self) -> FloatSource:
        """The float weights."""
        weights = None if self.weights is None else Path(self.weights)
        return FloatSource(
            weights, self.random_weights, self.pretrained, self.image_size, self.num_classes
        )

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
        text = json.dumps([__version__, fields, *map(str, others)])
        return hashlib.sha256(text.encode()).hexdigest()


assert set(PRESETS) == set(LADDER) - {MIXED}
