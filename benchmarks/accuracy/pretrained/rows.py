"""What the benchmark compares: each row is a precision and some options, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

from pqv_onnx.errors import PqvError
from pqv_onnx.spec import QuantSpec

PLAIN: dict[str, Any] = {
    "initialization": "lsq",
    "attention": "uniform",
    "gelu": "symmetric",
    "residual": "per-tensor",
    "qkv": "per-tensor",
    "centering": False,
    "balancing": False,
    "bias_correction": False,
    "widening": False,
    "reconstruction": None,
}
"""Our models without any technique; what a row does not name has its usual value."""

TECHNIQUES: dict[str, dict[str, Any]] = {
    "searched steps": {"initialization": "search"},
    "log2 attention": {"attention": "log2"},
    "clipped GELU": {"gelu": "asymmetric"},
    "grouped GELU": {"gelu": "grouped"},
    "residual ratios": {"residual": "power-of-two"},
    "rotated residual": {"residual": "rotated"},
    "rotated heads": {"qkv": "rotated"},
    "centering": {"centering": True},
    "balanced heads": {"qkv": "rotated", "balancing": True},
    "bias correction": {"bias_correction": True},
    "widening": {"widening": True},
    "reconstruction": {"reconstruction": {}},
}
"""Techniques, and what each changes of `PLAIN`."""

CHANGES: dict[str, dict[str, Any]] = {
    "LSQ's steps": {"initialization": "lsq"},
    "uniform attention": {"attention": "uniform"},
    "log2 attention": {"attention": "log2"},
    "symmetric GELU": {"gelu": "symmetric"},
    "GELU not grouped": {"gelu": "asymmetric"},
    "one residual step": {"residual": "per-tensor"},
    "ratios for rotations": {"residual": "power-of-two", "qkv": "per-tensor"},
    "ratios for the residual's rotation": {"residual": "power-of-two"},
    "heads not rotated": {"qkv": "per-tensor"},
    "not centered": {"centering": False},
    "heads not balanced": {"balancing": False},
    "biases not corrected": {"bias_correction": False},
    "not widened": {"widening": False},
}
"""What is changed of ``quick``, one at a time; a precision leaves out what it has anyway."""

EIGHT_BITS: dict[str, dict[str, Any]] = {
    "GELU's outputs": {"gelu": "8"},
    "norms": {"norm": "8"},
    "context": {"context": "8"},
    "norms and context": {"norm": "8", "context": "8"},
    "queries, keys, values": {"qkv": "8"},
}
"""Kinds of tensor that W4A4 can have at 8 bits."""

_FULL: dict[str, Any] = {
    "centering": True,
    "balancing": True,
    "bias_correction": True,
    "widening": True,
}
"""What `pqv calibrate` does."""
_QUICK: dict[str, Any] = _FULL | {"reconstruction": None}
_FLOAT_EPOCH: dict[str, Any] = {"epochs": 1, "optimizer": "adamw", "learning_rate": 5e-5}
_EPOCH: dict[str, Any] = {"epochs": 1, "optimizer": "lamb", "learning_rate": 3e-4}
_WEIGHTS_AFTER: dict[str, Any] = _EPOCH | {"rounding": "weights-after"}
_ALL_AFTER: dict[str, Any] = _EPOCH | {"rounding": "after"}


@dataclass(frozen=True)
class Row:
    """A way to quantize the model.

    Attributes:
        precision: ``float``, ``w8a8``, ``w7a7``, ``w4a8`` or ``w4a4``.
        name: what tables call it; with the precision it is the row's own.
        kind: ``float``, ``peer`` or ``ours``.
        options: of `benchmarks.accuracy.pretrained.peers.make` for peers, of
            `benchmarks.accuracy.pretrained.quantize` for the others.
        main: whether ``--quick`` runs it.
    """

    precision: str
    name: str
    kind: str = "ours"
    options: Mapping[str, Any] = field(default_factory=dict)
    main: bool = False

    @property
    def key(self) -> str:
        """What tells it from the other rows."""
        return f"{self.precision} {self.name}"


def _peer(name: str, main: bool = True, **options: Any) -> Row:
    return Row("w8a8", name, "peer", options, main)


def _ours(precision: str) -> Iterable[Row]:
    """Rows of one precision: each technique alone, all but one, all of them, and with training."""
    yield Row(precision, "plain", options=PLAIN, main=True)
    for name, changes in TECHNIQUES.items():
        yield Row(precision, f"plain + {name}", options=PLAIN | changes)
    yield Row(precision, "quick", options=_QUICK, main=True)
    for name, changes in CHANGES.items():
        if changes != {"attention": QuantSpec.preset(precision).attention.scheme}:
            yield Row(precision, f"quick, {name}", options=_QUICK | changes)
    updates = _FULL | {"reconstruction": {"steps": 500}}
    more = _FULL | {"reconstruction": {"steps": 1000}}
    ratios = _FULL | CHANGES["ratios for rotations"]
    yield Row(precision, "full", options=_FULL, main=True)
    yield Row(precision, "full, 500 updates", options=updates)
    yield Row(precision, "full, 1000 updates", options=more)
    yield Row(precision, "full, ratios for rotations", options=ratios)
    for name in ("not centered", "heads not balanced", "GELU not grouped"):
        yield Row(precision, f"full, {name}", options=_FULL | CHANGES[name])
    yield Row(precision, "quick, one epoch", options=_QUICK | _WEIGHTS_AFTER)
    yield Row(precision, "quick, one epoch, rounding during it", options=_QUICK | _EPOCH)
    for name, changes in (
        ("quick", _QUICK),
        ("full", _FULL),
        ("full, 500 updates", updates),
        ("full, 1000 updates", more),
    ):
        yield Row(precision, f"{name}, one epoch in float before", options=changes | _ALL_AFTER)
    yield Row(precision, "full, one epoch", options=_FULL | _WEIGHTS_AFTER)
    soft = _FULL | _WEIGHTS_AFTER | {"soft_labels": True}
    yield Row(precision, "full, one epoch, soft labels", options=soft)
    yield Row(precision, "full, 500 updates, one epoch", options=updates | _WEIGHTS_AFTER)
    yield Row(
        precision, "full, 500 updates, one epoch, rounding during it", options=updates | _EPOCH
    )
    if precision == "w4a4":
        for name, bits in EIGHT_BITS.items():
            at_8 = f"full, {name} at 8 bits"
            yield Row(precision, at_8, options=_FULL | bits)
            after = _FULL | bits | _ALL_AFTER
            yield Row(precision, f"{at_8}, one epoch in float before", options=after)


ROWS = (
    Row("float", "onnxruntime", "float", main=True),
    Row("float", "one epoch", "float", _FLOAT_EPOCH),
    Row("float", "one epoch, as ours", "float", _EPOCH),
    _peer("NNCF", maker="nncf"),
    _peer("onnxruntime static, percentile", maker="static", method="Percentile"),
    _peer("onnxruntime static, min-max", maker="static", method="MinMax"),
    # What onnxruntime advises for CPUs without VNNI, where its sums of products can saturate.
    _peer(
        "onnxruntime static, min-max, 7-bit weights",
        maker="static",
        method="MinMax",
        reduce_range=True,
    ),
    _peer("onnxruntime dynamic", maker="dynamic"),
    *_ours("w8a8"),
    *_ours("w7a7"),
    *_ours("w4a8"),
    *_ours("w4a4"),
)


def select(patterns: Iterable[str] = (), quick: bool = False) -> list[Row]:
    """The rows whose key is like one of the patterns (``w4a4 *``), or all.

    Raises:
        PqvError: no row is like one of the patterns.
    """
    rows = [row for row in ROWS if row.main or not quick]
    patterns = list(patterns)
    for pattern in patterns:
        if not any(fnmatch(row.key, pattern) for row in rows):
            raise PqvError(f"no row is like {pattern!r}; --list shows them")
    return [row for row in rows if not patterns or any(fnmatch(row.key, p) for p in patterns)]
