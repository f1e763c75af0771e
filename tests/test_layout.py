"""Packages import only from those below them, as docs/design.md lists them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pqv_onnx

LAYERS = [
    {"errors", "files", "missing", "progress", "tables", "text", "version"},
    {"ops", "packing"},
    {"spec"},
    {"runtime"},
    {"trace"},
    {"qat"},
    {"integer"},
    {"graph"},
    {"checkpoint"},
    {"train"},
    {"verification"},
    {"bench", "android"},
    {"workflow"},
    {"cli", "demo"},
    {"api"},
]
DIGITS = {("train", "demo")}


def layer(name: str) -> int:
    found = [index for index, names in enumerate(LAYERS) if name in names]
    assert found, f"LAYERS and docs/design.md do not know {name}"
    return found[0]


def imports() -> Iterator[tuple[str, str]]:
    """The packages that import others of ours, and those."""
    root = Path(pqv_onnx.__file__).parent
    for path in root.glob("*/**/*.py"):
        package = path.relative_to(root).parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pqv_onnx."):
                yield package, str(node.module).split(".")[1]


def test_nothing_imports_what_is_above_it() -> None:
    upwards = {(a, b) for a, b in imports() if layer(a) < layer(b)}
    assert upwards - DIGITS == set()
