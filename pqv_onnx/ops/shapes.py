"""Shapes of an op's inputs against its declaration, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import Input, Op

LEADING = "..."

Tensor = tuple[str, Sequence[int]]
"""Name of a dtype, and a shape."""


def axis_sizes(op: Op, inputs: Mapping[str, Tensor], known: Mapping[str, int]) -> dict[str, int]:
    """The size of every axis that an op's declaration names; "..." is all leading ones together.

    Args:
        op: the op.
        inputs: dtype and shape of each.
        known: sizes that attributes give.

    Raises:
        PqvError: an input has another type or shape than declared.
    """
    sizes = dict(known)
    leading: Sequence[int] | None = None
    for entry in op.inputs:
        dtype, shape = inputs[entry.name]
        split = _bind(entry, dtype, shape, sizes)
        if LEADING not in entry.dims:
            continue
        if leading is None:
            leading = shape[:split]
        elif not _fits(shape[:split], leading, entry.broadcast):
            ones = " or ones at the front of them" if entry.broadcast else ""
            wanted = f"{_declared(entry)} with leading dimensions {list(leading)}{ones}"
            raise PqvError(f"{wanted}, found {dtype} {list(shape)}")
    for name, allowed in op.sizes.items():
        check_value(name, sizes[name], allowed)
    return {**sizes, LEADING: math.prod(leading or ())}


def output_shape(op: Op, first: Sequence[int], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of the output, of the first input's shape and the sizes of axes."""
    leading = first[: len(first) - len(_named(op.inputs[0].dims))]
    return (*leading, *(_size(dim, sizes) for dim in _named(op.output_dims)))


def count_macs(op: Op, sizes: Mapping[str, int]) -> int:
    """Multiply-accumulates of an op with axes of these sizes."""
    return math.prod(_size(dim, sizes) for dim in op.macs) if op.macs else 0


def check_value(what: str, value: int | str, allowed: range | str) -> None:
    """Raise PqvError unless a value is an allowed one."""
    if isinstance(allowed, str):
        if value != allowed:
            raise PqvError(f"{what} must be {allowed!r}, found {value!r}")
    elif value not in allowed:
        raise PqvError(f"{what} must be {describe(allowed)}, found {value}")


def describe(allowed: range) -> str:
    """The allowed integers in words."""
    return f"in [{allowed.start}, {allowed.stop - 1}]"


def _bind(entry: Input, dtype: str, shape: Sequence[int], sizes: dict[str, int]) -> int:
    """Take the sizes of an input's axes; how many leading ones it has."""
    found, named = f"found {dtype} {list(shape)}", _named(entry.dims)
    split = len(shape) - len(named)
    if dtype != entry.dtype or split < 0 or (split > 0 and LEADING not in entry.dims):
        raise PqvError(f"{_declared(entry)}, {found}")
    for axis, size in zip(named, shape[split:], strict=True):
        dim, or_one, _ = axis.partition(" or 1")
        if or_one and size == 1:
            continue
        if "/" in dim or dim.isdigit():
            sizes[dim] = _size(dim, sizes)
        if size != sizes.setdefault(dim, size):
            with_size = "" if dim.isdigit() else f" with {dim} = {sizes[dim]}"
            raise PqvError(f"{_declared(entry)}{with_size}, {found}")
    return split


def _declared(entry: Input) -> str:
    return f"{entry.name} must be {entry.dtype} [{', '.join(entry.dims)}]"


def _fits(shape: Sequence[int], leading: Sequence[int], broadcast: bool) -> bool:
    """Whether axes are the leading ones, but for a run of ones at the front where allowed."""
    ones = 0
    while broadcast and ones < len(shape) and shape[ones] == 1:
        ones += 1
    return len(shape) == len(leading) and list(shape[ones:]) == list(leading[ones:])


def _named(dims: tuple[str, ...]) -> list[str]:
    return [dim for dim in dims if dim != LEADING]


def _size(dim: str, sizes: Mapping[str, int]) -> int:
    """Size of an axis: a number, "N/8" for the ceiling of N / 8, or a name."""
    if dim.isdigit():
        return int(dim)
    base, slash, divisor = dim.partition("/")
    return -(-sizes[base] // int(divisor)) if slash else sizes[dim]
