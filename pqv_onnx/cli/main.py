"""Entry point of ``pqv``: commands, and errors as one line."""

from __future__ import annotations

import sys
import warnings
from typing import Any, NoReturn

import typer

from pqv_onnx.cli import (
    android,
    bench,
    calibrate,
    eval,
    export,
    info,
    inspect,
    models,
    run,
    train,
    verify,
)
from pqv_onnx.errors import PqvError

app = typer.Typer(
    name="pqv",
    help="Quantized Vision Transformers: train, export as integer-only ONNX, run, verify, time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (calibrate, train, eval, export, run, verify, bench, inspect, info, models):
    app.command(command.__name__.rsplit(".", 1)[1])(command.command)
app.add_typer(android.app)


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"pqv: warning: {message}", file=sys.stderr)


def _fail(sentence: str) -> NoReturn:
    print(f"pqv: error: {sentence}", file=sys.stderr)
    sys.exit(1)


def main() -> None:
    """Run the command line: exit 0 on success, 1 on bad input, 2 on wrong usage."""
    warnings.showwarning = _print_warning
    try:
        app()
    except PqvError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("pqv_onnx"):
            raise
        _fail(f"this command needs {error.name}: pip install 'pqv_onnx[train]'")


if __name__ == "__main__":
    main()
