"""Declares torch ops from the domain table: schema, checks, fake version, error prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._library.custom_ops import CustomOpDef

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import DOMAIN, OPS, Attribute, Op
from pqv_onnx.ops.shapes import axis_sizes, check_value, describe, output_shape


def torch_op(
    name: str, check: Callable[..., None] | None = None
) -> Callable[[Callable[..., torch.Tensor]], CustomOpDef]:
    """Registers an integer function as ``torch.ops.pqv.<torch_name>``, with its fake version.

    The op takes the inputs of the domain table in their order, then the attributes, those
    with a default being optional. Attributes, dtypes and shapes are checked against the table
    before the function runs and when the fake version does, the values of constants only before
    the function runs; the fake version makes its output from the table. Each PqvError gets the
    op's name in front.

    Args:
        name: The op's ONNX name.
        check: Called with the inputs and attributes by name; raises PqvError for whatever
            else is wrong and shows without reading a tensor's values.

    Returns:
        A decorator for a function that takes the inputs and attributes by name.
    """
    op = OPS[name]

    def decorate(compute: Callable[..., torch.Tensor]) -> CustomOpDef:
        def real(*args: Any, **kwargs: Any) -> torch.Tensor:
            arguments = _bind(op, args, kwargs)
            _checked(op, arguments, check)
            _check_constants(op, arguments)
            try:
                return compute(**arguments)
            except PqvError as error:
                raise PqvError(f"{name}: {error}") from None

        def fake(*args: Any, **kwargs: Any) -> torch.Tensor:
            arguments = _bind(op, args, kwargs)
            sizes = _checked(op, arguments, check)
            first: torch.Tensor = arguments[op.inputs[0].name]
            shape = output_shape(op, first.shape, sizes)
            return first.new_empty(shape, dtype=getattr(torch, op.output_dtype))

        definition = torch.library.custom_op(
            f"{DOMAIN}::{op.torch_name}", real, mutates_args=(), schema=_schema(op)
        )
        definition.register_fake(fake)
        return definition

    return decorate


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


def _checked(
    op: Op, arguments: Mapping[str, Any], check: Callable[..., None] | None
) -> dict[str, int]:
    """Checks what shows without values; returns the sizes of named axes."""
    try:
        for entry in op.attributes:
            allowed = entry.values
            if entry.below is not None:
                allowed = range(arguments[entry.below])
            check_value(entry.name, arguments[entry.name], allowed)
        tensors = {entry.name: _described(arguments[entry.name]) for entry in op.inputs}
        known = {e.name: arguments[e.name] for e in op.attributes if e.type is int}
        sizes = axis_sizes(op, tensors, known)
        if check is not None:
            check(**arguments)
    except PqvError as error:
        raise PqvError(f"{op.name}: {error}") from None
    return sizes


def _described(tensor: torch.Tensor) -> tuple[str, torch.Size]:
    return str(tensor.dtype).removeprefix("torch."), tensor.shape


def _check_constants(op: Op, arguments: Mapping[str, Any]) -> None:
    for entry in op.inputs:
        tensor: torch.Tensor = arguments[entry.name]
        if entry.values is None or tensor.numel() == 0:
            continue
        found = [int(tensor.min()), int(tensor.max())]
        if not all(value in entry.values for value in found):
            allowed = describe(entry.values)
            raise PqvError(f"{op.name}: {entry.name} must be {allowed}, found values in {found}")
