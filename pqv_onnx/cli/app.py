"""The commands of ``pqv``."""

from __future__ import annotations

from typing import Annotated, Any

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
    quantize,
    recipes,
    run,
    train,
    verify,
)
from pqv_onnx.cli.options import console
from pqv_onnx.cli.progress import status
from pqv_onnx.version import __version__

UsageError: Any = typer.BadParameter.__base__
"""click's, or that of typer's own copy of click."""

app = typer.Typer(
    name="pqv",
    help="Quantized Vision Transformers: train, export as integer-only ONNX, run, verify, time.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
_COMMANDS = (
    *(quantize, calibrate, train, eval, export, run, verify, bench, inspect, info),
    *(models, recipes),
)
for command in _COMMANDS:
    app.command(command.__name__.rsplit(".", 1)[1])(command.command)
app.add_typer(android.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"pqv_onnx {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version, and stop."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show results and errors, and no progress.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show a line for each step, as of a training.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an unexpected error comes from.")
    ] = False,
) -> None:
    """Options of all commands. ``main`` asks for them by itself: they hold of imports, too."""
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other")
    status.quiet, status.verbose = quiet, verbose
