"""Declares torch ops from the domain table: schema, checks, fake version, error prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._library.custom_ops import CustomOpDef

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import (
    DOMAIN,
    MAX_MULTIPLIER,
    MAX_SHIFT,
    MIN_SHIFT,
    OPS,
    Attribute,
    Op,
)


def torch_op(
    name: str, check: Callable[..., None] | None = None
) -> Callable[[Callable[..., torch.Tensor]], CustomOpDef]:
    """Registers an integer function as ``torch.ops.pqv.<torch_name>``, with its fake version.

    The op takes the inputs of the domain table in their order, then the attributes, those
    with a default being optional. Dtypes and shapes are checked against the table before
    the function runs and when the fake version does; the latter makes its output from the
    table. Each PqvError gets the op's name in front.

    Args:
        name: The op's ONNX name.
        check: Called with the inputs and attributes by name; raises PqvError for whatever
            else is wrong and shows without reading a tensor's values.

    Returns:
        A decorator for a function that takes the inputs and attributes by name.
    """
    op = OPS[name]

    def decorate(compute: Callable[..., torch.Tensor]) -> CustomOpDef:
        def checked(arguments: dict[str, Any]) -> dict[str, int]:
            sizes = _check_inputs(op, arguments)
            if check is not None:
                check(**arguments)
            return sizes

        def real(*args: Any, **kwargs: Any) -> torch.Tensor:
            arguments = _bind(op, args, kwargs)
            try:
                checked(arguments)
                return compute(**arguments)
            except PqvError as error:
                raise PqvError(f"{name}: {error}") from None

        def fake(*args: Any, **kwargs: Any) -> torch.Tensor:
            arguments = _bind(op, args, kwargs)
            try:
                sizes = checked(arguments)
            except PqvError as error:
                raise PqvError(f"{name}: {error}") from None
            first: torch.Tensor = arguments[op.inputs[0].name]
            leading = first.shape[: first.ndim - len(_named(op.inputs[0].dims))]
            named = (_size(dim, sizes, sizes.get(dim, 0)) for dim in _named(op.output_dims))
            shape = (*leading, *named)
            return first.new_empty(shape, dtype=getattr(torch, op.output_dtype))

        definition = torch.library.custom_op(
            f"{DOMAIN}::{op.torch_name}", real, mutates_args=(), schema=_schema(op)
        )
        definition.register_fake(fake)
        return definition

    return decorate


def check_range(what: str, value: int | torch.Tensor, low: int, high: int) -> None:
    """Raises PqvError unless an attribute, or every value of a constant, is in [low, high]."""
    if not isinstance(value, torch.Tensor):
        if not low <= value <= high:
            raise PqvError(f"{what} must be in [{low}, {high}], found {value}")
    elif value.numel() > 0:
        found = [int(value.min()), int(value.max())]
        if found[0] < low or found[1] > high:
            raise PqvError(f"{what} must be in [{low}, {high}], found values in {found}")


def check_requantizer(shift: int, multiplier: int) -> None:
    """Raises PqvError unless the requantizer of a whole tensor is in its range."""
    check_range("shift", shift, MIN_SHIFT, MAX_SHIFT)
    check_range("multiplier", multiplier, 1, MAX_MULTIPLIER)


def check_y_bits(y_bits: int) -> None:
    """Raises PqvError unless ``y_bits`` is 4 or 8."""
    if y_bits not in (4, 8):
        raise PqvError(f"y_bits must be 4 or 8, found {y_bits}")


def _schema(op: Op) -> str:
    def attribute(entry: Attribute) -> str:
        default = "" if entry.default is None else f"={entry.default}"
        return f"{entry.type.__name__} {entry.name}{default}"

    inputs = [f"Tensor {entry.name}" for entry in op.inputs]
    return f"({', '.join(inputs + [attribute(entry) for entry in op.attributes])}) -> Tensor"


def _bind(op: Op, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = [entry.name for entry in op.inputs] + [entry.name for entry in op.attributes]
    defaults = {entry.name: entry.default for entry in op.attributes}
    return defaults | dict(zip(names, args, strict=False)) | dict(kwargs)


def _check_inputs(op: Op, arguments: Mapping[str, Any]) -> dict[str, int]:
    """Checks dtypes and shapes; returns the size of every named axis."""
    sizes = {entry.name: arguments[entry.name] for entry in op.attributes if entry.type is int}
    leading: torch.Size | None = None
    for entry in op.inputs:
        tensor: torch.Tensor = arguments[entry.name]
        found = f"found {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
        expected = f"{entry.name} must be {entry.dtype} [{', '.join(entry.dims)}]"
        named = _named(entry.dims)
        split = tensor.ndim - len(named)
        if tensor.dtype != getattr(torch, entry.dtype) or split < 0:
            raise PqvError(f"{expected}, {found}")
        for axis, size in zip(named, tensor.shape[split:], strict=True):
            dim, or_one, _ = axis.partition(" or 1")
            if or_one and size == 1:
                continue
            if size != sizes.setdefault(dim, _size(dim, sizes, size)):
                named_size = "" if dim.isdigit() else f" with {dim} = {sizes[dim]}"
                raise PqvError(f"{expected}{named_size}, {found}")
        if "..." not in entry.dims:
            if split > 0:
                raise PqvError(f"{expected}, {found}")
        elif leading is None:
            leading = tensor.shape[:split]
        elif not _fits(tensor.shape[:split], leading, entry.broadcast):
            ones = " or ones at the front of them" if entry.broadcast else ""
            raise PqvError(f"{expected} with leading dimensions {list(leading)}{ones}, {found}")
    return sizes


def _fits(shape: torch.Size, leading: torch.Size, broadcast: bool) -> bool:
    """Whether axes are the leading ones, but for a run of ones at the front where allowed."""
    ones = 0
    while broadcast and ones < len(shape) and shape[ones] == 1:
        ones += 1
    return len(shape) == len(leading) and shape[ones:] == leading[ones:]


def _named(dims: tuple[str, ...]) -> list[str]:
    return [dim for dim in dims if dim != "..."]


def _size(dim: str, sizes: Mapping[str, int], found: int) -> int:
    """Size of an axis: a number, "N/8" for the ceiling of N / 8, or a name new with this input."""
    if dim.isdigit():
        return int(dim)
    base, slash, divisor = dim.partition("/")
    return -(-sizes[base] // int(divisor)) if slash else found
