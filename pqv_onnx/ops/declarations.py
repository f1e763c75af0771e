"""The ops' declarations in C++: ``python -m pqv_onnx.ops.declarations`` writes two headers.

They are committed, so that building the library needs no Python; a test compares them with what
this module makes of ``pqv_onnx.ops.domain``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pqv_onnx.errors import PqvError
from pqv_onnx.ops import domain
from pqv_onnx.ops.domain import Attribute, Input, Op
from pqv_onnx.ops.shapes import LEADING

_FOLDER = Path(__file__).parents[2] / "custom_ops"
_NOTE = (
    "// Written by `python -m pqv_onnx.ops.declarations` after pqv_onnx/ops/domain.py; "
    "not to be edited.\n// clang-format off"
)
_TYPES = ("int8", "uint8", "int16", "int32")
_LIMITS = {
    "MAX_REDUCTION": "size_t",
    "MAX_NORM_CHANNELS": "size_t",
    "MAX_CHANNELS": "size_t",
    "FRACTION_BITS": "int",
    "ROTARY_TABLE_BITS": "int",
    "MIN_SHIFT": "int",
    "MAX_SHIFT": "int",
    "MAX_MULTIPLIER": "int",
    "MAX_BIAS": "int",
    "MAX_EPSILON": "int64_t",
}
"""The numbers of the domain that kernels are written for, and their types."""


def headers() -> dict[Path, str]:
    """The text of each header, by its path.

    Raises:
        PqvError: an op is declared wrong; the sentence names it.
    """
    for op in domain.OPS.values():
        check(op)
    return {
        _FOLDER / "kernels" / "common" / "limits.h": _limits(),
        _FOLDER / "bindings" / "declarations.h": _declarations(),
    }


def check(op: Op) -> None:
    """Raise PqvError for what Python, ONNX and C++ could not have in the same way."""
    for mistake in (*_of_names(op), *_of_types(op), *_of_attributes(op)):
        raise PqvError(f"pqv_onnx/ops/domain.py: {op.name}: {mistake}")


def _of_names(op: Op) -> Iterator[str]:
    names = [entry.name for entry in op.inputs] + [entry.name for entry in op.attributes]
    yield from (f"{name} is declared twice" for name in names if names.count(name) > 1)
    known = {axis for entry in op.inputs for axis in _axes(entry.dims)} | set(names)
    used = _axes((*op.sizes, *op.macs, *op.output_dims))
    yield from (f"no input has the axis {axis}" for axis in sorted(used - known))


def _axes(dims: Iterable[str]) -> set[str]:
    """The names in ``dims``, such as C in C/3."""
    parts = {part for dim in dims for part in re.split("/| or ", dim)}
    return {part for part in parts if not part.isdigit()}


def _of_types(op: Op) -> Iterator[str]:
    types = {entry.name: entry.dtype for entry in op.inputs} | {"the output": op.output_dtype}
    for name, dtype in types.items():
        if dtype not in _TYPES:
            yield f"{name} is {dtype}, expected {', '.join(_TYPES)}"
    for entry in op.inputs:
        if entry.values is None or entry.dtype not in _TYPES:
            continue
        info = np.iinfo(entry.dtype)
        if not entry.constant:
            yield f"{entry.name} has values, but is no constant"
        elif entry.values[0] < info.min or entry.values[-1] > info.max:
            yield f"{entry.name} has values that no {entry.dtype} holds"


def _of_attributes(op: Op) -> Iterator[str]:
    names = [attribute.name for attribute in op.attributes]
    for entry in op.attributes:
        if not isinstance(entry.values, str) and len(entry.values) < 2:
            yield f"{entry.name} may be one number, expected several"
        elif entry.default is not None and entry.default not in entry.values:
            yield f"{entry.name} is {entry.default} by default, which it may not be"
        if entry.below is not None and entry.below not in names:
            yield f"{entry.name} is below {entry.below}, which is no attribute"


def _limits() -> str:
    lines = [
        f"constexpr {kind} {_camel(name)} = {getattr(domain, name)};"
        for name, kind in _LIMITS.items()
    ]
    return _header("PQV_KERNELS_COMMON_LIMITS_H_", "<stddef.h>\n#include <stdint.h>", lines)


def _declarations() -> str:
    lines = [
        f'constexpr char kDomain[] = "{domain.DOMAIN}";',
        f"constexpr int kDomainVersion = {domain.VERSION};",
    ]
    for op in domain.OPS.values():
        lines += ["", *_op(op)]
    attributes = {attribute.name for op in domain.OPS.values() for attribute in op.attributes}
    names = ", ".join(f'"{name}"' for name in sorted(attributes))
    ops = ", ".join(f"&k{name}Op" for name in domain.OPS)
    lines += [
        "",
        f"constexpr const char* kAttributeNames[] = {{{names}}};  // of all ops",
        f"constexpr const OpDefinition* kOps[] = {{{ops}}};",
    ]
    return _header("PQV_BINDINGS_DECLARATIONS_H_", '"bindings/op_definition.h"', lines)


def _header(guard: str, include: str, lines: list[str]) -> str:
    body = "\n".join(lines)
    return (
        f"{_NOTE}\n\n#ifndef {guard}\n#define {guard}\n\n#include {include}\n\n"
        f"namespace pqv {{\n\n{body}\n\n}}  // namespace pqv\n\n#endif  // {guard}\n"
    )


def _op(op: Op) -> list[str]:
    """What is declared of an op, and that the bindings define it."""
    inputs, attributes = f"k{op.name}Inputs", "nullptr"
    lines = _array("InputDeclaration", inputs, [_input(entry) for entry in op.inputs])
    if op.attributes:
        attributes = f"k{op.name}Attributes"
        entries = [_attribute(entry) for entry in op.attributes]
        lines += _array("AttributeDeclaration", attributes, entries)
    counted = f"{inputs}, {len(op.inputs)}, {attributes}, {len(op.attributes)}"
    return [
        *lines,
        f"constexpr OpDeclaration k{op.name}Declaration = {{",
        f'    "{op.name}", {_element(op.output_dtype)}, {counted}}};',
        f"extern const OpDefinition k{op.name}Op;",
    ]


def _array(kind: str, name: str, entries: list[str]) -> list[str]:
    return [f"constexpr {kind} {name}[] = {{", *(f"    {{{entry}}}," for entry in entries), "};"]


def _input(entry: Input) -> str:
    rank = sum(dim != LEADING for dim in entry.dims)
    text = f'"{entry.name}", {_element(entry.dtype)}, {rank}'
    if not entry.constant:
        return text
    info = np.iinfo(entry.dtype)
    low, high = (entry.values[0], entry.values[-1]) if entry.values else (info.min, info.max)
    return f"{text}, {low}, {high}"


def _attribute(entry: Attribute) -> str:
    if isinstance(entry.values, str):
        return f'"{entry.name}", "{entry.values}"'
    low, high = entry.values[0], entry.values[-1]
    below = f'"{entry.below}"' if entry.below else "nullptr"
    default = "kRequired" if entry.default is None else entry.default
    return f'"{entry.name}", "", {low}, {high}, {below}, {default}'


def _element(dtype: str) -> str:
    return f"k{dtype.title()}"


def _camel(name: str) -> str:
    return "k" + name.title().replace("_", "")


def main() -> None:
    """Write the headers, or say which declaration is wrong."""
    try:
        found = headers()
    except PqvError as error:
        raise SystemExit(f"error: {error}") from error
    for path, text in found.items():
        path.write_text(text)
        print(path.relative_to(_FOLDER.parent))


if __name__ == "__main__":
    main()
