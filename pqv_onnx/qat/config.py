"""Everything but the weights: what is needed to rebuild a model and to feed it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.geometry import GEOMETRIES, Geometry
from pqv_onnx.spec import QuantSpec


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the model's input; the fields are timm's."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_pct: float = 1.0
    interpolation: str = "bicubic"


@dataclass(frozen=True)
class ModelConfig:
    """A quantized model without its weights.

    Attributes:
        geometry: the backbone's sizes and options.
        spec: quantization scheme.
        preprocessing: how to make the input.
        labels: a name for each class, if known.
        accuracy: top-1 in [0, 1] of the fake-quantized model in training, if known. Exported
            files state what onnxruntime gives instead.
    """

    geometry: Geometry
    spec: QuantSpec
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        chans, classes = self.geometry.in_chans, self.geometry.num_classes
        for name in ("mean", "std"):
            found = len(getattr(self.preprocessing, name))
            if found != chans:
                raise PqvError(f"model config: {name} has {found} values, expected {chans}")
        if not all(0 < value < math.inf for value in self.preprocessing.std):
            raise PqvError(f"model config: std is {self.preprocessing.std}, expected above 0")
        if self.labels is not None and len(self.labels) != classes:
            raise PqvError(f"model config: found {len(self.labels)} labels, expected {classes}")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict that ``from_dict`` reads; the geometry is under its family."""
        (family,) = (name for name, cls in GEOMETRIES.items() if type(self.geometry) is cls)
        return {
            family: asdict(self.geometry),
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
        families = GEOMETRIES.keys() & set(data) if isinstance(data, Mapping) else set()
        family = families.pop() if len(families) == 1 else "vit"
        expected = {f.name for f in fields(cls)} - {"geometry"} | {family}
        _check_fields("model config", expected, data)
        labels, accuracy = data["labels"], data["accuracy"]
        if labels is not None and not _is(labels, "tuple[str, ...]"):
            raise PqvError(f"model config: labels is {labels!r}, expected a list of strings")
        if accuracy is not None and not _is(accuracy, "float"):
            raise PqvError(f"model config: accuracy is {accuracy!r}, expected a number")
        return cls(
            geometry=_parse(family, GEOMETRIES[family], data[family]),
            spec=QuantSpec.from_dict(data["spec"]),
            preprocessing=_parse("preprocessing", Preprocessing, data["preprocessing"]),
            labels=None if labels is None else tuple(labels),
            accuracy=None if accuracy is None else float(accuracy),
        )


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
