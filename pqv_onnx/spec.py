"""What is quantized how: a frozen, validated description of a quantization scheme.

Imports no torch, so that a machine that only runs models can read the metadata of a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from pqv_onnx.errors import PqvError
from pqv_onnx.tables import TableReader


@dataclass(frozen=True)
class TensorSpec:
    """Bits and scheme of one kind of tensor.

    Schemes: ``per-tensor`` and ``per-channel`` have signed codes and one learned step for the
    tensor or for each output channel; ``power-of-two`` is one learned step times a fixed 2^k
    per channel, k in 0..3; ``rotated`` is ``power-of-two`` of a residual stream, or
    ``per-tensor`` of queries, keys and values, after a rotation that is folded into the float
    weights (``qat/rotation.py``); ``asymmetric`` and ``symmetric`` are per tensor, for the GELU's
    output (and, for its input, ``asymmetric`` and ``per-tensor``), with codes from where values
    begin to matter or with signed codes; ``grouped`` is ``asymmetric`` with a step for each of
    some groups of channels (``qat/grouping.py``); ``log2`` and ``uniform`` are the two output
    forms of the base-2 softmax.
    """

    bits: int
    scheme: str


def _specs(scheme: str, *bits: int) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(count, scheme) for count in bits)


_ALLOWED: dict[str, tuple[TensorSpec, ...]] = {
    "image": _specs("per-tensor", 8),
    "patch_weight": _specs("per-channel", 8),
    "residual": _specs("rotated", 8) + _specs("power-of-two", 8) + _specs("per-tensor", 8),
    "norm": _specs("per-tensor", 4, 7, 8),
    "weight": _specs("per-channel", 4, 7, 8),
    "qkv": _specs("rotated", 4, 8) + _specs("per-tensor", 4, 8),
    "attention": _specs("log2", 4) + _specs("uniform", 8),
    "context": _specs("per-tensor", 4, 7, 8),
    "pre_gelu": _specs("asymmetric", 8) + _specs("per-tensor", 8),
    "gelu": _specs("grouped", 4, 7, 8)
    + _specs("asymmetric", 4, 7, 8)
    + _specs("symmetric", 4, 7, 8),
    "final_norm": _specs("per-tensor", 8),
    "head_weight": _specs("per-channel", 8),
}
"""What the ops compute; of several schemes with the same bits, the presets take the first."""

_PRESETS: dict[str, dict[str, int]] = {
    "w8a8": {},
    "w7a7": dict.fromkeys(("norm", "weight", "context", "gelu"), 7),
    "w4a8": {"weight": 4},
    "w4a4": dict.fromkeys(("norm", "weight", "qkv", "attention", "context", "gelu"), 4),
}
"""The kinds of tensor that have other bits than 8, by preset."""

PRESETS = tuple(_PRESETS)
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
        gelu: output of the GELU.
        final_norm: the head's input.
        head_weight: weights of the head.
        weight_bits: 4, 7 or 8 bits for the weights of single matmuls inside the blocks, in
            place of those of ``weight``; by timm's name of the layer, or a pattern as
            ``blocks.*.mlp.fc2``. Of two patterns for a layer the later one counts.

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
    weight_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every kind of tensor against what the ops compute."""
        for kind, allowed in _ALLOWED.items():
            found = getattr(self, kind)
            if found not in allowed:
                expected = " or ".join(f"{t.bits} bits {t.scheme}" for t in allowed)
                raise PqvError(f"quantization spec: {kind} is {found}, expected {expected}")
        if not isinstance(self.weight_bits, Mapping):
            raise PqvError(f"quantization spec: weight_bits is {self.weight_bits!r}, not a table")
        counts = [spec.bits for spec in _ALLOWED["weight"]]
        for name, bits in self.weight_bits.items():
            if type(bits) is not int or bits not in counts:
                expected = " or ".join(map(str, counts))
                raise PqvError(
                    f"quantization spec: weight_bits of {name} is {bits!r}, not {expected}"
                )

    @classmethod
    def preset(cls, name: str) -> QuantSpec:
        """Return the preset ``w8a8``, ``w7a7``, ``w4a8`` or ``w4a4``.

        ``w7a7`` has 7 bits for both sides of the matmuls inside the blocks, 8 for everything
        else: sums of two such codes are bytes, which some CPUs multiply faster
        (docs/performance.md). ``w4a8`` has 4 bits for the weights of these matmuls, 8 for
        everything else. In ``w4a4`` the image, the patch embedding, the residual stream, the
        GELU's input and the head stay at 8 bits; everything else has 4.

        Raises:
            PqvError: the name is unknown.
        """
        if name not in PRESETS:
            raise PqvError(f"unknown precision {name!r}, expected {' or '.join(PRESETS)}")
        kinds: dict[str, Any] = {
            kind: next(spec for spec in allowed if spec.bits == _PRESETS[name].get(kind, 8))
            for kind, allowed in _ALLOWED.items()
        }
        return cls(**kinds)

    def unrotated(self) -> QuantSpec:
        """The same without rotations: ratios for the residual stream alone, heads as they are."""
        others = {"residual": "power-of-two", "qkv": "per-tensor"}
        rotated = (kind for kind in others if getattr(self, kind).scheme == "rotated")
        return self.with_schemes({kind: others[kind] for kind in rotated})

    def with_schemes(self, schemes: Mapping[str, str]) -> QuantSpec:
        """The same with other schemes, or bits, for some kinds of tensor.

        Args:
            schemes: scheme or bits by kind, as ``{"attention": "uniform", "gelu": "8"}``. A kind
                keeps its bits if the scheme has them, and its scheme if the bits have it; else it
                takes those that are.

        Raises:
            PqvError: there is no such kind, or no such scheme or bits for it.
        """
        changes: dict[str, Any] = {}
        for kind, scheme in schemes.items():
            if kind not in _ALLOWED:
                raise PqvError(f"unknown kind of tensor {kind!r}, expected {', '.join(_ALLOWED)}")
            found = [t for t in _ALLOWED[kind] if scheme in (t.scheme, str(t.bits))]
            if not found:
                names = dict.fromkeys(t.scheme for t in _ALLOWED[kind])
                bits = sorted({str(t.bits) for t in _ALLOWED[kind]})
                expected = f"{' or '.join(names)}, or bits, {' or '.join(bits)}"
                raise PqvError(f"scheme of {kind} is {scheme!r}, expected {expected}")
            old = getattr(self, kind)
            changes[kind] = min(
                found, key=lambda t: (t.bits != old.bits) + (t.scheme != old.scheme)
            )
        return replace(self, **changes)

    def for_layers(self, names: Iterable[str]) -> QuantSpec:
        """The same with ``weight_bits`` for those of the layers ``names`` that differ.

        Raises:
            PqvError: ``weight_bits`` is for a layer that is not one of ``names``.
        """
        found = dict.fromkeys(names, self.weight.bits)
        for pattern, bits in self.weight_bits.items():
            matching = [name for name in found if fnmatchcase(name, pattern)]
            if not matching:
                raise PqvError(
                    f"quantization spec: weight_bits is for {pattern}, the model has no such "
                    f"layer; its layers are {', '.join(found)}"
                )
            found.update(dict.fromkeys(matching, bits))
        changed = {name: bits for name, bits in found.items() if bits != self.weight.bits}
        return replace(self, weight_bits=changed)

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
        own = {kind: getattr(self, kind) for kind in _ALLOWED}
        counts = Counter(self.weight_bits.values())
        return [
            f"{kind} {spec.bits} bits {spec.scheme}"
            for kind, spec in own.items()
            if spec != getattr(preset, kind)
        ] + [f"{bits}-bit weights in {count} layers" for bits, count in sorted(counts.items())]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict that ``from_dict`` reads."""
        kinds = {kind: getattr(self, kind) for kind in _ALLOWED}
        data: dict[str, Any] = {
            kind: {"bits": spec.bits, "scheme": spec.scheme} for kind, spec in kinds.items()
        }
        return data | ({"weight_bits": dict(self.weight_bits)} if self.weight_bits else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> QuantSpec:
        """Rebuild a spec from ``to_dict``'s output.

        Raises:
            PqvError: a field is missing, unknown or has a value that is not allowed.
        """
        return TableReader("quantization spec: ", optional=("weight_bits",)).read(cls, data)
