"""`python -m tests.soak COMMAND`: sessions, models, kills, commands, full, settings."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.soak import commands as bad
from tests.soak import models as hostile
from tests.soak.full import stopped_writes
from tests.soak.kills import COMMANDS, kill_often
from tests.soak.sessions import soak
from tests.soak.settings import SETTINGS, passes

app = typer.Typer(add_completion=False)


@app.command()
def sessions(
    model: Annotated[Path, typer.Argument(help="A file of float images.")],
    threads: Annotated[int, typer.Option(min=1)] = 8,
    runs: Annotated[int, typer.Option(min=10, help="Of each thread.")] = 10_000,
) -> None:
    """Make, run and let go of sessions on threads; exit 1 if an output differs."""
    found = soak(model, threads, runs)
    print("MB after each tenth:", " ".join(f"{memory:.0f}" for memory in found.memory))
    print(f"{threads * runs} runs, {found.differences} differ")
    raise typer.Exit(int(found.differences > 0))


@app.command()
def kills(
    count: Annotated[int, typer.Option(min=1, help="For each command.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the moments.")] = 0,
) -> None:
    """Kill commands at random moments and let them go on; exit 1 if they end otherwise."""
    wrong = []
    for name, command in COMMANDS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = kill_often(command, Path(folder), count, seed)
        print(f"{name}: killed {found.killed} times", *found.wrong, sep="\n  ")
        wrong += found.wrong
    raise typer.Exit(int(bool(wrong)))


@app.command()
def models(
    model: Annotated[Path, typer.Argument(help="A file to change.")],
    count: Annotated[int, typer.Option(min=1)] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the first change.")] = 0,
) -> None:
    """Load and run models with bytes or parts changed; exit 1 if one ends the process or hangs."""
    found = hostile.run(model, count, seed)
    print(", ".join(f"{number} {word}" for word, number in sorted(found.outcomes.items())))
    print("\n".join(found.broken))
    raise typer.Exit(int(bool(found.broken)))


@app.command()
def commands(
    count: Annotated[int, typer.Option(min=1)] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the first command line.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="At once.")] = 1,
) -> None:
    """Try bad command lines; exit 1 if one is not refused as it should be."""
    found = bad.run(count, seed, jobs)
    print(", ".join(f"{number} {word}" for word, number in sorted(found.outcomes.items())))
    print("\n".join(found.broken))
    raise typer.Exit(int(bool(found.broken)))


@app.command()
def full() -> None:
    """Let each command's files grow too large; exit 1 if one is not refused as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(stopped_writes(Path(folder)))
    wrong = [" ".join(one) for one in found if one[-1] not in ("done", "refused")]
    print(f"{sum(one[-1] == 'refused' for one in found)} stopped", *wrong, sep="\n")
    raise typer.Exit(int(bool(wrong)))


@app.command(context_settings={"ignore_unknown_options": True})
def settings(
    names: Annotated[str, typer.Option(help="Separated by commas.")] = ",".join(SETTINGS),
    arguments: Annotated[list[str] | None, typer.Argument(help="Of pytest.")] = None,
) -> None:
    """Run the tests with settings of the math libraries; exit 1 if they fail with one of them."""
    if unknown := set(names.split(",")) - set(SETTINGS):
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}")
    passed = {name: passes(name, arguments or ["tests"]) for name in names.split(",")}
    print(*(f"{name}: {'passed' if passed[name] else 'failed'}" for name in passed), sep="\n")
    raise typer.Exit(int(not all(passed.values())))


app()
