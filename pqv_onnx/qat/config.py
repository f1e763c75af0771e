"""Everything but the weights: what is needed to rebuild a model and to feed it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.preprocess import ModelInput, Preprocessing
from pqv_onnx.spec import QuantSpec
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.store import from_json, to_json

TASKS = ("logits", "embedding", "unit_embedding", "tokens", "features")
"""What a model may give."""


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
        """Check that feature maps alone are several."""
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
        """Return a JSON-ready dict that ``from_dict`` reads."""
        graph = to_json(self.graph)
        return {"architecture": self.architecture, "task": self.task, "graph": graph}

    @classmethod
    def from_dict(cls, data: Any) -> Backbone:
        """Rebuild from ``to_dict``'s output, or from the same as JSON.

        Raises:
            PqvError: a field is missing or unknown, or the graph is damaged.
        """
        _check_fields("model config: backbone", {"architecture", "task", "graph"}, data)
        if not isinstance(data["architecture"], str):
            raise PqvError(f"model config: architecture is {data['architecture']!r}, not a string")
        if data["task"] not in TASKS:
            raise PqvError(f"model config: task is {data['task']!r}, expected {', '.join(TASKS)}")
        return cls(data["architecture"], from_json(data["graph"]), data["task"])


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
        _check_fields("model config", {f.name for f in fields(cls)}, data)
        labels, accuracy = data["labels"], data["accuracy"]
        if labels is not None and not _is(labels, "tuple[str, ...]"):
            raise PqvError(f"model config: labels is {labels!r}, expected a list of strings")
        if accuracy is not None and not _is(accuracy, "float"):
            raise PqvError(f"model config: accuracy is {accuracy!r}, expected a number")
        return cls(
            backbone=Backbone.from_dict(data["backbone"]),
            spec=QuantSpec.from_dict(data["spec"]),
            preprocessing=_parse("preprocessing", Preprocessing, _preprocessing(data)),
            labels=None if labels is None else tuple(labels),
            accuracy=None if accuracy is None else float(accuracy),
        )


def _preprocessing(data: Mapping[str, Any]) -> Any:
    """The config's preprocessing; of earlier versions it says nothing of the crop's mode."""
    found = data["preprocessing"]
    return {"crop_mode": "center", **found} if isinstance(found, Mapping) else found


def _check_labels(labels: tuple[str, ...], classes: int) -> None:
    if len(labels) != classes:
        raise PqvError(f"model config: found {len(labels)} labels, expected {classes}")
    for label in labels:
        whole = label.encode(errors="ignore").decode() == label  # no half of a UTF-16 pair
        if not label.strip() or "\n" in label or "\0" in label or not whole:
            raise PqvError(f"model config: found the label {label!r}, expected a line of text")


def _check_fields(what: str, expected: set[str], data: object) -> None:
    if not isinstance(data, Mapping) or set(data) != expected:
        found = sorted(data) if isinstance(data, Mapping) else type(data).__name__
        raise PqvError(f"{what}: found fields {found}, expected {sorted(expected)}")


def _is(value: object, kind: str) -> bool:
    """Whether a JSON value is of an annotated type of this module's dataclasses."""
    if kind.startswith("tuple"):
        inner = kind[len("tuple[") : -1].split(", ")
        if not isinstance(value, list | tuple):
            return False
        if inner[-1] != "..." and len(value) != len(inner):
            return False
        return all(_is(item, inner[0]) for item in value)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value).__name__ == kind


def _parse(what: str, cls: type, data: Any) -> Any:
    _check_fields(f"model config: {what}", {f.name for f in fields(cls)}, data)
    values = {}
    for field in fields(cls):
        value = data[field.name]
        if not _is(value, str(field.type)):
            raise PqvError(f"model config: {what}.{field.name} is {value!r}, expected {field.type}")
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return cls(**values)
