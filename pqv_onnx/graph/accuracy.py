"""What an exported file says about its accuracy: the metadata entry ``pqv.accuracy``.

The entry is JSON, ``{"top1": 98.08, "images": 364, "dataset": "digits, validation", "runtime":
"onnxruntime 1.31.1"}``: top-1 in percent as onnxruntime gave it, over how many images of what.
It is written after an evaluation and is absent before. Files of earlier versions have a number
alone, the share in [0, 1] that the model got right when it was trained.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pqv_onnx.errors import PqvError
from pqv_onnx.files import write_atomically
from pqv_onnx.graph.load import load_model, read_proto

ACCURACY_KEY = "pqv.accuracy"


@dataclass(frozen=True)
class StatedAccuracy:
    """The accuracy that a file states.

    Attributes:
        top1: in percent.
        images: how many there were; None, as what follows, in files of earlier versions.
        dataset: name of the data set, and of the split.
        runtime: what ran the model, with its version.
    """

    top1: float
    images: int | None = None
    dataset: str | None = None
    runtime: str | None = None

    def __post_init__(self) -> None:
        """Check types and ranges."""
        if not _is_number(self.top1) or not 0 <= self.top1 <= 100:
            raise PqvError(f"accuracy: top1 is {self.top1!r}, expected 0 to 100")
        if self.images is None and self.dataset is None and self.runtime is None:
            return
        if type(self.images) is not int or self.images < 1:
            raise PqvError(f"accuracy: images is {self.images!r}, expected a number of images")
        for name in ("dataset", "runtime"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise PqvError(f"accuracy: {name} is {value!r}, expected a name")

    def __str__(self) -> str:
        """For people: ``98.08% of 364 images (digits, validation; onnxruntime 1.31.1)``."""
        if self.images is None:
            return f"{self.top1:.2f}% in training, not measured in onnxruntime"
        return f"{self.top1:.2f}% of {self.images} images ({self.dataset}; {self.runtime})"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


def stated_accuracy(
    entries: Mapping[str, str], path: str | os.PathLike[str]
) -> StatedAccuracy | None:
    """Read ``pqv.accuracy``; None where the file states none.

    Args:
        entries: the file's metadata, see `metadata`.
        path: the file, for the sentence.

    Raises:
        PqvError: the entry is malformed.
    """
    text = entries.get(ACCURACY_KEY)
    if text is None:
        return None
    try:
        value = json.loads(text)
        if _is_number(value):
            return StatedAccuracy(100 * value)
        names = ("top1", "images", "dataset", "runtime")
        return StatedAccuracy(**{name: value[name] for name in names})
    except (ValueError, TypeError, KeyError, RecursionError, PqvError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise PqvError(f"{path}: {ACCURACY_KEY} is malformed: {reason}") from error


def write_accuracy(path: str | os.PathLike[str], accuracy: StatedAccuracy) -> None:
    """State an accuracy in an exported file, in place of one that it states already.

    Everything else stays as it is; the file is written whole or not at all.

    Args:
        path: the ``.onnx`` file.
        accuracy: of this file, measured in onnxruntime.

    Raises:
        PqvError: see `load_model`; or the file cannot be written.
    """
    load_model(path)  # checks it
    model = read_proto(path, external_data=False)
    entry = next((e for e in model.metadata_props if e.key == ACCURACY_KEY), None)
    if entry is None:
        entry = model.metadata_props.add(key=ACCURACY_KEY)
    entry.value = json.dumps(accuracy.to_dict())
    write_atomically(path, model.SerializeToString())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
