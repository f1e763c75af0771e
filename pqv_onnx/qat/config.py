"""Everything but the weights: what is needed to rebuild a model and to feed it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.preprocess import ModelInput, Preprocessing
from pqv_onnx.spec import QuantSpec
from pqv_onnx.tables import TableReader
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.store import from_json, to_json

TASKS = ("logits", "embedding", "unit_embedding", "tokens", "features")
"""What a model may give."""
_READER = TableReader(
    "model config: ",
    optional=("crop_mode",),  # which files of earlier versions lack
    parsers={Graph: from_json, QuantSpec: QuantSpec.from_dict},
)


@dataclass(frozen=True, eq=False)
class Backbone:
    """What a model computes in float.

    Attributes:
        architecture: timm's name of the model, or its class's.
        graph: of what it computes, without values of constants.
        task: what it gives: ``logits`` [B, classes], an ``embedding`` [B, C], a
            ``unit_embedding`` of length 1 [B, C], ``tokens``, [B, N, C] or [B, H, W, C], or
            ``features``: maps [B, H, W, C] of several depths.
    """

    architecture: str
    graph: Graph
    task: str = "logits"

    def __post_init__(self) -> None:
        """Check the task, and that feature maps alone are several."""
        if self.task not in TASKS:
            raise PqvError(f"model config: task is {self.task!r}, expected {', '.join(TASKS)}")
        count = len(self.graph.outputs)
        if count > 1 and self.task != "features":
            raise PqvError(f"the model gives {count} tensors, expected one for {self.task}")

    def __eq__(self, other: object) -> bool:
        """Whether both compute the same."""
        return isinstance(other, Backbone) and self.to_dict() == other.to_dict()

    @property
    def in_chans(self) -> int:
        """Channels of an image."""
        return _size(self.graph.input.shape[1])

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of an image in pixels."""
        return _size(self.graph.input.shape[2]), _size(self.graph.input.shape[3])

    @property
    def num_classes(self) -> int:
        """Logits; 0 if it gives none."""
        return _size(self.graph.output.shape[-1]) if self.task == "logits" else 0

    @property
    def outputs(self) -> list[str]:
        """Names of what it gives: the task's, numbered from 0 if there are several."""
        count = len(self.graph.outputs)
        return [self.task] if count == 1 else [f"{self.task}_{i}" for i in range(count)]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict that ``ModelConfig.from_dict`` reads."""
        graph = to_json(self.graph)
        return {"architecture": self.architecture, "task": self.task, "graph": graph}


def _size(size: object) -> int:
    if not isinstance(size, int):
        raise PqvError("model config: an axis of image or output is the batch")
    return size


@dataclass(frozen=True)
class ModelConfig:
    """A quantized model without its weights.

    Attributes:
        backbone: what the model computes.
        spec: quantization scheme.
        preprocessing: how to make the input.
        labels: a name for each class, if known.
        accuracy: top-1 in [0, 1] of the fake-quantized model in training, if known. Exported
            files state what onnxruntime gives instead.
    """

    backbone: Backbone
    spec: QuantSpec
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        chans, classes = self.backbone.in_chans, self.backbone.num_classes
        for name in ("mean", "std"):
            found = len(getattr(self.preprocessing, name))
            if found != chans:
                raise PqvError(f"model config: {name} has {found} values, expected {chans}")
        if not all(0 < value < math.inf for value in self.preprocessing.std):
            raise PqvError(f"model config: std is {self.preprocessing.std}, expected above 0")
        if self.labels is not None:
            _check_labels(self.labels, classes)

    @property
    def input(self) -> ModelInput:
        """How an image becomes the model's input: normalised floats."""
        (height, width), channels = self.backbone.img_size, self.backbone.in_chans
        made = vars(self.preprocessing)
        return ModelInput(**made, channels=channels, height=height, width=width)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict that ``from_dict`` reads."""
        return {
            "backbone": self.backbone.to_dict(),
            "spec": self.spec.to_dict(),
            "preprocessing": asdict(self.preprocessing),
            "labels": self.labels,
            "accuracy": self.accuracy,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Rebuild a config from ``to_dict``'s output, or from the same as JSON.

        Raises:
            PqvError: a field is missing, unknown or of the wrong type.
        """
        return _READER.read(cls, data)


def _check_labels(labels: tuple[str, ...], classes: int) -> None:
    if len(labels) != classes:
        raise PqvError(f"model config: found {len(labels)} labels, expected {classes}")
    for label in labels:
        whole = label.encode(errors="ignore").decode() == label  # no half of a UTF-16 pair
        if not label.strip() or "\n" in label or "\0" in label or not whole:
            raise PqvError(f"model config: found the label {label!r}, expected a line of text")
