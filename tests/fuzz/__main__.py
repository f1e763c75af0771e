"""`python -m tests.fuzz`: run the fuzz targets for long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tests.fuzz.runs import fuzz, write_seeds
from tests.fuzz.seeds import TARGETS

app = typer.Typer(add_completion=False)


@app.command()
def main(
    targets: Annotated[list[str] | None, typer.Argument(help="By default all.")] = None,
    seconds: Annotated[int, typer.Option(min=1, help="For each target.")] = 60,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of a corpus for each target, kept.")
    ] = Path("build/fuzz"),
) -> None:
    """Feed libFuzzer's inputs to what reads the files of strangers; exit 1 if one breaks it."""
    broken = False
    for target in targets or list(TARGETS):
        if target not in TARGETS:
            raise typer.BadParameter(f"{target}: expected {', '.join(TARGETS)}")
        corpus = output / target
        write_seeds(target, corpus)
        run = fuzz(target, corpus, f"-max_total_time={seconds}")
        print(f"{target}: {run.executions} inputs, {run.covered} edges covered", flush=True)
        if run.report:
            broken = True
            print(run.report)
    raise typer.Exit(int(broken))


app()
