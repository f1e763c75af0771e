"""A command that is killed at random moments, and goes on until it has finished."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.pool import write_photos

_QUANTIZE = ["quantize", "test_vit", "--random-weights", "0", "--num-classes", "2", "--steps", "40"]
COMMANDS = {
    "quantize": [*_QUANTIZE, "--precision", "w4a8", "--data", "photos", "-o", "out"],
}
"""Arguments of `pqv`, to be run beside a folder ``photos``; what they make is in ``out``."""
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


def kill_often(name: str, folder: Path, kills: int, seed: int = 0) -> Kills:
    """Run a command whole, and another time with kills on the way: it must make the same files."""
    whole, often = folder / "whole", folder / "often"
    for place in (whole, often):
        write_photos(place / "photos", 12)
    began = time.monotonic()
    _run(name, whole)
    seconds, found, draw = time.monotonic() - began, Kills(), random.Random(seed)
    while found.killed < kills:
        found.killed += not _run(name, often, draw.uniform(0, seconds))
        if (often / "out").exists():  # appears when it is complete, a moment before the end
            _compare(whole, often, found)
            shutil.rmtree(often / "out")
    _run(name, often)
    _compare(whole, often, found)
    return found


def _run(name: str, folder: Path, seconds: float | None = None) -> bool:
    """Run a command, and kill it after some seconds; whether it ended before."""
    command = [sys.executable, "-c", _PQV, *COMMANDS[name]]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
    assert status == 0, f"{name} ended with status {status}"
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
