"""Names of classes: the metadata entry ``pqv.labels``, one name a line, and answers with them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pqv_onnx.errors import PqvError
from pqv_onnx.files import read_text

LABELS_KEY = "pqv.labels"


def stated_labels(entries: Mapping[str, str]) -> tuple[str, ...]:
    """The labels in a model's metadata; none where it has none."""
    text = entries.get(LABELS_KEY)
    return () if text is None else tuple(text.split("\n"))


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read a text file with a name on each line, in the order of the classes.

    Raises:
        PqvError: see `read_text`; or the file is empty, or has an empty line.
    """
    lines = read_text(path).splitlines()
    labels = tuple(line.strip() for line in lines)
    if not labels:
        raise PqvError(f"{path}: is empty, expected one label a line")
    if "" in labels:
        raise PqvError(f"{path}: line {labels.index('') + 1} is empty, expected one label a line")
    return labels


def best_classes(
    logits: np.ndarray, count: int, labels: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The classes of the highest logits, the lower class first where two are equal.

    Args:
        logits: of one image, float [classes].
        count: how many classes to give at most.
        labels: a name for each class, or none.

    Returns:
        For each its number ``class``, its ``label`` (None without labels), its ``logit`` and its
        ``probability`` (softmax of the logits).
    """
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = shifted / shifted.sum()
    return [
        {
            "class": int(index),
            "label": labels[index] if index < len(labels) else None,
            "logit": float(logits[index]),
            "probability": float(probabilities[index]),
        }
        for index in np.argsort(-logits, kind="stable")[:count]
    ]
