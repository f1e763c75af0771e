"""Everything but the weights: what is needed to rebuild a model and to feed it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import MAX_CHANNELS, MAX_K
from pqv_onnx.spec import QuantSpec

_LIMITS = {
    "in_chans": MAX_K,
    "num_classes": 2**24,
    "embed_dim": MAX_CHANNELS,
    "depth": 1024,
    "num_heads": MAX_CHANNELS,
    "mlp_dim": MAX_K,
}
"""Largest sizes: those of the ops, and a depth that no model has."""


@dataclass(frozen=True)
class VitConfig:
    """The geometry of a Vision Transformer.

    Attributes:
        architecture: timm's name of the model, or ``vision_transformer``.
        img_size: height and width in pixels, multiples of ``patch_size``.
        patch_size: height and width in pixels.
        in_chans: image channels.
        num_classes: logits.
        embed_dim: width of the residual stream, a multiple of ``num_heads``.
        depth: blocks.
        num_heads: attention heads.
        mlp_dim: width between the MLP's two layers.
        qkv_bias: whether q, k and v have a bias.
        proj_bias: whether the attention's projection and the MLP have biases.
        layer_scale: whether the blocks scale their branches per channel.
        class_token: whether there is a class token.
        dist_token: whether there is a distillation token, and a head for it.
        reg_tokens: register tokens.
        no_embed_class: whether the prefix tokens lack a positional embedding.
        global_pool: ``token`` or ``avg``.
        fc_norm: whether the final norm comes after an average pooling, not before it.
        norm_eps: epsilon of every LayerNorm.
    """

    architecture: str
    img_size: tuple[int, int]
    patch_size: tuple[int, int]
    in_chans: int
    num_classes: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    qkv_bias: bool = True
    proj_bias: bool = True
    layer_scale: bool = False
    class_token: bool = True
    dist_token: bool = False
    reg_tokens: int = 0
    no_embed_class: bool = False
    global_pool: str = "token"
    fc_norm: bool = False
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        """Check that the numbers fit together."""
        for name, limit in _LIMITS.items():
            if not 1 <= getattr(self, name) <= limit:
                raise PqvError(
                    f"model config: {name} is {getattr(self, name)}, expected 1 to {limit}"
                )
        if self.reg_tokens < 0:
            raise PqvError(f"model config: reg_tokens is {self.reg_tokens}, expected 0 or more")
        for size, patch in zip(self.img_size, self.patch_size, strict=True):
            if patch < 1 or size < patch or size % patch:
                raise PqvError(
                    f"model config: img_size is {self.img_size}, "
                    f"expected a multiple of patch_size {self.patch_size}"
                )
        features = self.in_chans * self.patch_size[0] * self.patch_size[1]
        for name, found in (
            ("pixels of a patch", features),
            ("tokens", self.num_prefix_tokens + self.num_patches),
        ):
            if found > MAX_K:
                raise PqvError(f"model config: found {found} {name}, expected at most {MAX_K}")
        if self.embed_dim % self.num_heads:
            raise PqvError(
                f"model config: embed_dim is {self.embed_dim}, "
                f"expected a multiple of num_heads {self.num_heads}"
            )
        if self.global_pool not in ("token", "avg"):
            raise PqvError(
                f"model config: global_pool is {self.global_pool!r}, expected 'token' or 'avg'"
            )
        if self.global_pool == "token" and not self.class_token:
            raise PqvError("model config: global_pool 'token' found without a class token")
        if self.global_pool == "token" and self.fc_norm:
            raise PqvError("model config: fc_norm found with global_pool 'token', expected 'avg'")
        if self.global_pool == "avg" and self.dist_token:
            raise PqvError("model config: global_pool 'avg' found with a distillation token")

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens in front of the patches."""
        return int(self.class_token) + int(self.dist_token) + self.reg_tokens

    @property
    def num_patches(self) -> int:
        """Tokens made from the image."""
        height, width = self.img_size
        return (height // self.patch_size[0]) * (width // self.patch_size[1])

    @property
    def head_tokens(self) -> int:
        """Feature vectors that the head reads side by side: two with a distillation token."""
        return 2 if self.dist_token else 1

    @property
    def head_features(self) -> int:
        """Inputs of the head."""
        return self.embed_dim * self.head_tokens


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
        vit: geometry.
        spec: quantization scheme.
        preprocessing: how to make the input.
        labels: a name for each class, if known.
        accuracy: measured top-1 in [0, 1], if known.
    """

    vit: VitConfig
    spec: QuantSpec
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        chans, classes = self.vit.in_chans, self.vit.num_classes
        for name in ("mean", "std"):
            found = len(getattr(self.preprocessing, name))
            if found != chans:
                raise PqvError(f"model config: {name} has {found} values, expected {chans}")
        if not all(0 < value < math.inf for value in self.preprocessing.std):
            raise PqvError(f"model config: std is {self.preprocessing.std}, expected above 0")
        if self.labels is not None and len(self.labels) != classes:
            raise PqvError(f"model config: found {len(self.labels)} labels, expected {classes}")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict that ``from_dict`` reads."""
        return {
            "vit": asdict(self.vit),
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
        _check_fields("model config", cls, data)
        labels, accuracy = data["labels"], data["accuracy"]
        if labels is not None and not _is(labels, "tuple[str, ...]"):
            raise PqvError(f"model config: labels is {labels!r}, expected a list of strings")
        if accuracy is not None and not _is(accuracy, "float"):
            raise PqvError(f"model config: accuracy is {accuracy!r}, expected a number")
        return cls(
            vit=_parse("vit", VitConfig, data["vit"]),
            spec=QuantSpec.from_dict(data["spec"]),
            preprocessing=_parse("preprocessing", Preprocessing, data["preprocessing"]),
            labels=None if labels is None else tuple(labels),
            accuracy=None if accuracy is None else float(accuracy),
        )


def _check_fields(what: str, cls: type, data: object) -> None:
    expected = {f.name for f in fields(cls)}
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
    _check_fields(f"model config: {what}", cls, data)
    values = {}
    for field in fields(cls):
        value = data[field.name]
        if not _is(value, str(field.type)):
            raise PqvError(f"model config: {what}.{field.name} is {value!r}, expected {field.type}")
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return cls(**values)
