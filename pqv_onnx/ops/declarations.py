"""The ops' declarations in C++: ``python -m pqv_onnx.ops.declarations`` writes two headers.

They are committed, so that building the library needs no Python; a test compares them with what
this module makes of ``pqv_onnx.ops.domain``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pqv_onnx.ops import domain
from pqv_onnx.ops.domain import Attribute, Input, Op
from pqv_onnx.ops.shapes import LEADING

_FOLDER = Path(__file__).parents[2] / "custom_ops"
_NOTE = (
    "// Written by `python -m pqv_onnx.ops.declarations` after pqv_onnx/ops/domain.py; "
    "not to be edited.\n// clang-format off"
)
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
}
"""The numbers of the domain that kernels are written for, and their types."""


def headers() -> dict[Path, str]:
    """The text of each header, by its path."""
    return {
        _FOLDER / "kernels" / "common" / "limits.h": _limits(),
        _FOLDER / "bindings" / "declarations.h": _declarations(),
    }


def _limits() -> str:
    lines = [
        f"constexpr {kind} {_camel(name)} = {getattr(domain, name)};"
        for name, kind in _LIMITS.items()
    ]
    return _header("PQV_KERNELS_COMMON_LIMITS_H_", "<stddef.h>", lines)


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
    low, high, step = entry.values[0], entry.values[-1], entry.values[1] - entry.values[0]
    below = f'"{entry.below}"' if entry.below else "nullptr"
    default = "kRequired" if entry.default is None else entry.default
    return f'"{entry.name}", "", {step}, {low}, {high}, {below}, {default}'


def _element(dtype: str) -> str:
    return f"k{dtype.title()}"


def _camel(name: str) -> str:
    return "k" + name.title().replace("_", "")


def main() -> None:
    """Write the headers."""
    for path, text in headers().items():
        path.write_text(text)
        print(path.relative_to(_FOLDER.parent))


if __name__ == "__main__":
    main()
