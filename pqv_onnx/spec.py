"""What is quantized how: a frozen, validated description of a quantization scheme.

Imports no torch, so that a machine that only runs models can read the metadata of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pqv_onnx.errors import PqvError

GELU_CLIP = 10.0
"""Upper clip of the GELU's output (PackQViT, section 3.2)."""


@dataclass(frozen=True)
class TensorSpec:
    """Bits and scheme of one kind of tensor.

    Schemes: ``per-tensor`` and ``per-channel`` have signed codes and one learned step for the
    tensor or for each output channel; ``power-of-two`` is one learned step times a fixed 2^k
    per channel, k in 0..3; ``asymmetric`` and ``symmetric`` are per tensor, for the GELU's
    output, with the range of its values and a clip or with signed codes and none; ``log2`` and
    ``uniform`` are the two output forms of the base-2 softmax.
    """

    bits: int
    scheme: str


def _specs(scheme: str, *bits: int) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(count, scheme) for count in bits)


_ALLOWED: dict[str, tuple[TensorSpec, ...]] = {
    "image": _specs("per-tensor", 8),
    "patch_weight": _specs("per-channel", 8),
    "residual": _specs("power-of-two", 8) + _specs("per-tensor", 8),
    "norm": _specs("per-tensor", 4, 8),
    "weight": _specs("per-channel", 4, 8),
    "qkv": _specs("per-tensor", 4, 8),
    "attention": _specs("log2", 4) + _specs("uniform", 8),
    "context": _specs("per-tensor", 4, 8),
    "pre_gelu": _specs("per-tensor", 8),
    "gelu": _specs("asymmetric", 4, 8) + _specs("symmetric", 4, 8),
    "final_norm": _specs("per-tensor", 8),
    "head_weight": _specs("per-channel", 8),
}
"""What the ops compute; of several schemes with the same bits, the presets take the first."""

PRESETS = ("w8a8", "w4a4")
"""The names that ``QuantSpec.preset`` knows."""


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
            if found not in _ALLOWED[field.name]:
                expected = " or ".join(f"{t.bits} bits {t.scheme}" for t in _ALLOWED[field.name])
                raise PqvError(f"quantization spec: {field.name} is {found}, expected {expected}")

    @classmethod
    def preset(cls, name: str) -> QuantSpec:
        """Return the preset ``w8a8`` or ``w4a4``.

        In ``w4a4`` the image, the patch embedding, the residual stream, the GELU's input and the
        head stay at 8 bits; everything else has 4.

        Raises:
            PqvError: the name is unknown.
        """
        if name not in PRESETS:
            raise PqvError(f"unknown precision {name!r}, expected {' or '.join(PRESETS)}")
        pick = min if name == "w4a4" else max
        kinds = {f.name: pick(_ALLOWED[f.name], key=lambda t: t.bits) for f in fields(cls)}
        return cls(**kinds)

    def with_schemes(self, schemes: Mapping[str, str]) -> QuantSpec:
        """The same with other schemes for some kinds of tensor.

        Args:
            schemes: scheme by kind, as ``{"attention": "uniform", "gelu": "symmetric"}``. A
                kind keeps its bits if the scheme has them, and else takes the scheme's.

        Raises:
            PqvError: there is no such kind, or no such scheme for it.
        """
        changes = {}
        for kind, scheme in schemes.items():
            if kind not in _ALLOWED:
                raise PqvError(f"unknown kind of tensor {kind!r}, expected {', '.join(_ALLOWED)}")
            found = {t.bits: t for t in _ALLOWED[kind] if t.scheme == scheme}
            if not found:
                expected = " or ".join(dict.fromkeys(t.scheme for t in _ALLOWED[kind]))
                raise PqvError(f"scheme of {kind} is {scheme!r}, expected {expected}")
            bits = getattr(self, kind).bits
            changes[kind] = found[bits] if bits in found else next(iter(found.values()))
        return replace(self, **changes)

    @property
    def base(self) -> str:
        """The name of the preset that differs least."""
        return min(PRESETS, key=lambda name: len(self._differences(name)))

    @property
    def name(self) -> str:
        """The nearest preset's name and what differs: ``w4a4, attention 8 bits uniform``."""
        return ", ".join([self.base, *self._differences(self.base)])

    def _differences(self, name: str) -> list[str]:
        """What a preset lacks, for people."""
        preset = QuantSpec.preset(name)
        own = ((field.name, getattr(self, field.name)) for field in fields(self))
        return [
            f"{kind} {spec.bits} bits {spec.scheme}"
            for kind, spec in own
            if spec != getattr(preset, kind)
        ]

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
