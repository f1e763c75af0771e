"""Options and habits that the commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pqv_onnx.files import check_writable, write_atomically

console = Console(highlight=False, soft_wrap=True)
"""Where results go. Lines are not wrapped: a path stays whole for copying."""

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="An exported .onnx file.")]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result to FILE as JSON, too."),
]


def check_json(path: Path | None) -> None:
    """Fail before the work, not after it, if the JSON file could not be written."""
    if path is not None:
        check_writable(path)


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Write ``result`` where ``--json`` said, if it said."""
    if path is not None:
        write_atomically(path, (json.dumps(result, indent=2) + "\n").encode())


def megabytes(count: int) -> str:
    """Bytes for people: 3180000 -> ``3.18 MB``."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
