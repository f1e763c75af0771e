"""A command that is killed at random moments, and goes on until it has finished."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

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


def write_photos(folder: Path) -> None:
    """A data set of two classes of noise."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.png")


def kill_often(name: str, folder: Path, kills: int, seed: int = 0) -> Kills:
    """Run a command whole, and another time with kills on the way: it must make the same files."""
    whole, often = folder / "whole", folder / "often"
    for place in (whole, often):
        write_photos(place)
    began = time.monotonic()
    _run(name, whole)
    seconds, found, draw = time.monotonic() - began, Kills(), random.Random(seed)
    while found.killed < kills:
        if _run(name, often, draw.uniform(0, seconds)):
            _compare(whole, often, found)
            shutil.rmtree(often / "out")
            continue
        found.killed += 1
        if (often / "out").exists():
            found.wrong.append("out is there, but the command had not ended")
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
