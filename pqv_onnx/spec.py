"""What is quantized how: a frozen, validated description of a quantization scheme.

Imports no torch, so that a machine that only runs models can read the metadata of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pqv_onnx.errors import PqvError

GELU_CLIP = 10.0
"""Upper clip of the GELU's output (PackQViT, section 3.2)."""


@dataclass(frozen=True)
class TensorSpec:
    """Bits and scheme of one kind of tensor.

    Schemes: ``per-tensor`` and ``per-channel`` are symmetric with one learned step for the
    tensor or for each output channel; ``asymmetric`` is per tensor with a zero point;
    ``per-channel-power-of-two`` is one learned step times a fixed 2^k per channel, k in 0..3;
    ``uniform`` and ``log2`` are the two output forms of the base-2 softmax.
    """

    bits: int
    scheme: str


_SCHEMES: dict[str, tuple[str, tuple[int, ...]]] = {
    "image": ("per-tensor", (8,)),
    "patch_weight": ("per-channel", (8,)),
    "residual": ("per-channel-power-of-two", (8,)),
    "norm": ("per-tensor", (4, 8)),
    "weight": ("per-channel", (4, 8)),
    "qkv": ("per-tensor", (4, 8)),
    "context": ("per-tensor", (4, 8)),
    "pre_gelu": ("per-tensor", (8,)),
    "gelu": ("asymmetric", (4, 8)),
    "final_norm": ("per-tensor", (8,)),
    "head_weight": ("per-channel", (8,)),
}
_ATTENTION = (TensorSpec(4, "log2"), TensorSpec(8, "uniform"))


def _allowed(kind: str) -> tuple[TensorSpec, ...]:
    if kind == "attention":
        return _ATTENTION
    scheme, bits = _SCHEMES[kind]
    return tuple(TensorSpec(b, scheme) for b in bits)


@dataclass(frozen=True)
class QuantSpec:
    """The scheme of every kind of tensor in a Vision Transformer.

    Attributes:
        image: the network's input.
        patch_weight: weights of the patch embedding.
        residual: the residual stream, after the embedding and after each addition.
        norm: outputs of the LayerNorms inside the blocks.
        weight: weights of the matmuls inside the blocks.
        qkv: queries, keys and values, each with a step of its own.
        attention: attention weights after the softmax.
        context: attention output before its projection.
        pre_gelu: output of the first MLP matmul.
        gelu: output of the GELU, clipped at ``GELU_CLIP``.
        final_norm: the head's input.
        head_weight: weights of the head.

    Raises:
        PqvError: a kind of tensor has bits or a scheme that no op computes.
    """

    image: TensorSpec
    patch_weight: TensorSpec
    residual: TensorSpec
    norm: TensorSpec
    weight: TensorSpec
    qkv: TensorSpec
    attention: TensorSpec
    context: TensorSpec
    pre_gelu: TensorSpec
    gelu: TensorSpec
    final_norm: TensorSpec
    head_weight: TensorSpec

    def __post_init__(self) -> None:
        """Check every kind of tensor against what the ops compute."""
        for field in fields(self):
            found = getattr(self, field.name)
            if found not in _allowed(field.name):
                expected = " or ".join(f"{t.bits} bits {t.scheme}" for t in _allowed(field.name))
                raise PqvError(f"quantization spec: {field.name} is {found}, expected {expected}")

    @classmethod
    def preset(cls, name: str) -> QuantSpec:
        """Return the preset ``w8a8`` or ``w4a4``.

        In ``w4a4`` the image, the patch embedding, the residual stream, the GELU's input and the
        head stay at 8 bits; everything else has 4.

        Raises:
            PqvError: the name is unknown.
        """
        if name not in ("w8a8", "w4a4"):
            raise PqvError(f"unknown precision {name!r}, expected w8a8 or w4a4")
        pick = min if name == "w4a4" else max
        kinds = {f.name: pick(_allowed(f.name), key=lambda t: t.bits) for f in fields(cls)}
        return cls(**kinds)

    @property
    def name(self) -> str:
        """The preset's name, or ``custom``."""
        for name in ("w8a8", "w4a4"):
            if self == QuantSpec.preset(name):
                return name
        return "custom"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict that ``from_dict`` reads."""
        return {
            f.name: {"bits": getattr(self, f.name).bits, "scheme": getattr(self, f.name).scheme}
            for f in fields(self)
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> QuantSpec:
        """Rebuild a spec from ``to_dict``'s output.

        Raises:
            PqvError: a field is missing, unknown or has a value that is not allowed.
        """
        names = {f.name for f in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != names:
            found = sorted(data) if isinstance(data, Mapping) else type(data).__name__
            raise PqvError(f"quantization spec: found fields {found}, expected {sorted(names)}")
        return cls(**{name: _tensor_spec(name, value) for name, value in data.items()})


def _tensor_spec(name: str, value: object) -> TensorSpec:
    if not isinstance(value, Mapping) or set(value) != {"bits", "scheme"}:
        raise PqvError(f"quantization spec: {name} is {value!r}, expected bits and scheme")
    bits, scheme = value["bits"], value["scheme"]
    if type(bits) is not int or not isinstance(scheme, str):
        raise PqvError(f"quantization spec: {name} is {value!r}, expected an int and a string")
    return TensorSpec(bits, scheme)
