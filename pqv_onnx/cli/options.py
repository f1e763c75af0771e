"""Options and habits that the commands share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_apart, check_writable, write_atomically
from pqv_onnx.spec import QuantSpec
from pqv_onnx.text import printable

_WIDE = 200


class PlainConsole(Console):
    """Prints strings as they are: no markup, and control characters as their escapes."""

    def __init__(self, **options: Any) -> None:
        """Make one; see rich."""
        super().__init__(markup=False, highlight=False, **options)
        # In a file or a pipe there is room: rich would cut tables to 80 characters.
        if not self.is_terminal and "width" not in options and "COLUMNS" not in os.environ:
            self.width = _WIDE

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; see rich.

        Raises:
            PqvError: there is no room where it goes.
        """
        try:
            super().print(*objects, **options)
        except BrokenPipeError:  # nobody wants to see more
            raise
        except OSError as error:
            name = "error" if self.stderr else "output"
            sentence = f"the standard {name} cannot be written: {error.strerror}"
            raise PqvError(sentence) from error

    def render_str(self, text: str, **options: Any) -> Text:
        """What rich makes of every string, those in tables, too."""
        return super().render_str(printable(text), **options)


console = PlainConsole(soft_wrap=True)
"""Where results go. Lines are not wrapped: a path stays whole for copying."""

MAX_SEED = 2**32 - 1
MAX_THREADS = 1024

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="An exported .onnx file.")]
SchemeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scheme",
        metavar="KIND=SCHEME|BITS",
        help="Change the precision's preset, repeatable: attention=log2|uniform, "
        "gelu=grouped|asymmetric|symmetric|4|8, pre_gelu=asymmetric|per-tensor, norm=4|8, "
        "context=4|8, qkv=rotated|per-tensor|4|8, residual=rotated|power-of-two|per-tensor.",
    ),
]
ImageSizeOption = Annotated[
    str | None,
    typer.Option(
        "--image-size",
        metavar="N|HxW",
        help="Pixels of the images; by default what the model is made for. Positions are resampled "
        "as timm does it.",
    ),
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result to FILE as JSON, too."),
]


def quant_spec(precision: str, schemes: list[str] | None) -> QuantSpec:
    """The preset ``precision`` with the changes of ``--scheme``."""
    spec = QuantSpec.preset(precision)
    for change in schemes or []:
        kind, equals, scheme = change.partition("=")
        if not equals:
            raise typer.BadParameter(f"--scheme is {change!r}, expected KIND=SCHEME|BITS")
        spec = spec.with_schemes({kind: scheme})
    return spec


def image_size(text: str | None) -> tuple[int, int] | None:
    """Height and width of ``--image-size``, if it is given."""
    if text is None:
        return None
    from pqv_onnx.runtime.preprocess import MAX_SIDE

    parts = text.split("x")
    # Python makes no number of more than 4,300 digits.
    digits = all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)
    if len(parts) > 2 or not digits or not all(1 <= int(part) <= MAX_SIDE for part in parts):
        raise typer.BadParameter(
            f"--image-size is {text!r}, expected pixels up to {MAX_SIDE}: 224, 224x320"
        )
    return int(parts[0]), int(parts[-1])


def check_json(path: Path | None, *others: Path | None) -> None:
    """Fail before the work, not after it, if the JSON file could not be written or is another."""
    if path is not None:
        check_writable(path)
        check_apart(path, others)


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Write ``result`` where ``--json`` said, if it said."""
    if path is not None:
        write_atomically(path, (json.dumps(result, indent=2) + "\n").encode())


def megabytes(count: int) -> str:
    """Bytes for people: 3180000 -> ``3.18 MB``."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
