"""Run export recipes: ``export/export.py RECIPE... -o DIR``. See export/README.md."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

PQV = [sys.executable, "-m", "pqv_onnx.cli.main"]


def main(
    recipes: Annotated[list[Path], typer.Argument(help="Recipe files (.toml).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the .onnx files.")],
    checkpoint: Annotated[Path | None, typer.Option(help="QAT checkpoint of the model.")] = None,
    random_weights: Annotated[int | None, typer.Option(metavar="SEED")] = None,
) -> None:
    """Export and verify every recipe."""
    if (checkpoint is None) == (random_weights is None):
        raise typer.BadParameter("give either --checkpoint or --random-weights SEED")
    output.mkdir(parents=True, exist_ok=True)
    for path in recipes:
        recipe = tomllib.loads(path.read_text())
        target = output / f"{path.stem}.onnx"
        if checkpoint is not None:
            source = ["--checkpoint", str(checkpoint)]
        else:
            source = ["--model", recipe["model"], "--random-weights", str(random_weights)]
            schemes = recipe.get("quantization", {}).items()
            source += [f"--scheme={kind}={scheme}" for kind, scheme in schemes]
        flags = [f"--{name}={value}" for name, value in recipe["export"].items()]
        flags += ["--precision", recipe["precision"], "-o", str(target)]
        for command in (["export", *source, *flags], ["verify", str(target)]):
            if code := subprocess.run([*PQV, *command], check=False).returncode:
                raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
