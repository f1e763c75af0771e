"""A command that is killed at random moments, and goes on until it has finished."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.pool import RECIPE, write_photos

_MODEL = ["--random-weights", "0", "--num-classes", "2", "--data", "photos", "-o", "out"]
_LONGER = ["--set=train.epochs=6", "--set=train.save_every=3", "--set=train.max_steps=0"]


@dataclass(frozen=True)
class Command:
    """A command whose files are in the folder ``out``.

    Attributes:
        arguments: of `pqv`, to be run beside a folder ``photos`` and a recipe.
        state: a file there that asks for ``--resume``; none where the folder appears when it is
            complete, and the same command goes on.
    """

    arguments: Sequence[str]
    state: str = ""

    def next_arguments(self, folder: Path) -> list[str]:
        """What is typed in a folder where the command may have been killed."""
        goes_on = bool(self.state) and (folder / "out" / self.state).exists()
        return [*self.arguments, "--resume"] if goes_on else [*self.arguments]

    def is_complete(self, folder: Path, ended: bool) -> bool:
        """Whether there is everything, after a run that ended or was killed."""
        return ended or (not self.state and (folder / "out").exists())


COMMANDS = {
    # Calibration, reconstruction, export and evaluation.
    "quantize": Command(["quantize", "test_vit", "--steps", "40", "--precision", "w4a8", *_MODEL]),
    "train": Command(
        ["train", "--recipe", "recipe.toml", *_LONGER, *_MODEL],
        state="state.pt",
    ),
}
_PQV = "from pqv_onnx.cli.main import main; main()"
_RESULTS = (".onnx", ".safetensors")


@dataclass
class Kills:
    """What became of a command.

    Attributes:
        killed: how often it was killed before it had ended.
        wrong: what was found that should not be there, a line each.
    """

    killed: int = 0
    wrong: list[str] = field(default_factory=list)


def kill_often(command: Command, folder: Path, kills: int, seed: int = 0) -> Kills:
    """Run a command whole, and another time with kills on the way: it must make the same files."""
    whole, often = folder / "whole", folder / "often"
    for place in (whole, often):
        write_photos(place / "photos", 12, "train", "validation")
        (place / "recipe.toml").write_text(RECIPE)
    began = time.monotonic()
    _run(command, whole)
    seconds, found, draw = time.monotonic() - began, Kills(), random.Random(seed)
    while found.killed < kills:
        ended = _run(command, often, draw.uniform(0, seconds))
        found.killed += not ended
        if command.is_complete(often, ended):
            _compare(whole, often, found)
            shutil.rmtree(often / "out")
    _run(command, often)
    _compare(whole, often, found)
    return found


def _run(command: Command, folder: Path, seconds: float | None = None) -> bool:
    """Run a command, and kill it after some seconds; whether it ended before."""
    line = [sys.executable, "-c", _PQV, *command.next_arguments(folder)]
    with subprocess.Popen(line, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
    assert status == 0, f"{' '.join(line[3:])} ended with status {status}"
    return True


def _compare(whole: Path, often: Path, found: Kills) -> None:
    """Note the models and checkpoints of one folder that are not those of the other."""
    paths = [path.relative_to(whole) for path in whole.glob("out/**/*") if path.suffix in _RESULTS]
    assert paths
    for path in paths:
        if not (often / path).exists():
            found.wrong.append(f"{path} is missing")
        elif (often / path).read_bytes() != (whole / path).read_bytes():
            found.wrong.append(f"{path} has other bytes")
    found.wrong += [f"{path.name} is left over" for path in often.glob("*.part*")]
