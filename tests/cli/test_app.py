"""Options of all commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pqv_onnx.cli import progress
from pqv_onnx.version import __version__
from tests.cli.conftest import Pqv


def test_version(pqv: Pqv) -> None:
    done = pqv("--version")
    assert (done.code, done.out) == (0, f"pqv_onnx {__version__}\n")


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pqv_onnx", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"pqv_onnx {__version__}\n"


@pytest.mark.parametrize("command", [(), ("run",), ("android",), ("android", "app")])
def test_help_in_short(command: tuple[str, ...], pqv: Pqv) -> None:
    done = pqv(*command, "-h")
    assert done.code == 0 and done.out == pqv(*command, "--help").out


def test_quiet(pqv: Pqv, tiny_onnx: dict[str, Path]) -> None:
    for flags, quiet in ((("-q",), True), ((), False)):
        done = pqv(*flags, "run", tiny_onnx["w8a8"], "--random", 0)
        assert done.code == 0 and "%" in done.out
        assert progress.status.quiet is quiet


def test_verbose(pqv: Pqv) -> None:
    done = pqv("-v", "-q", "info")
    assert done.code == 2 and "exclude each other" in done.err


def test_a_mistyped_command_is_told_its_neighbours(pqv: Pqv) -> None:
    done = pqv("quantise")
    assert done.code == 2 and "quantize" in done.err
