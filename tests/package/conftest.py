"""What is built for distribution, and a Python with nothing but that."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.builds import ROOT, need

VARIANTS = {
    "x86_64": ("amx", "avx512vnni", "avxvnni", "avx2", "scalar"),
    "aarch64": ("sme", "i8mm", "dotprod", "neon", "scalar"),
}
"""Kernels of the wheels, by machine."""


@dataclass(frozen=True)
class Installed:
    """A wheel and what it asks for, in a Python without torch."""

    command: tuple[str | Path, ...]
    environment: dict[str, str]
    folder: Path

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Python with arguments, in an empty folder."""
        return subprocess.run(
            [*self.command, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            check=False,
        )

    def pqv(self, *arguments: object) -> str:
        """What a command prints, which must succeed."""
        done = self.run("-m", "pqv_onnx.cli.main", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: object) -> Any:
        """The JSON of a command."""
        self.pqv(*arguments, "--json", self.folder / "result.json")
        return json.loads((self.folder / "result.json").read_text())


def clean_environment(**more: str) -> dict[str, str]:
    """The shell's, without what leads to this checkout."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "PQV_LIBRARY", "PQV_ISA")
    return {name: value for name, value in os.environ.items() if name not in ours} | more


def check_pip(done: subprocess.CompletedProcess[str]) -> None:
    """Skip without an index; fail there in CI."""
    if done.returncode != 0:
        reason = f"pip could not install: {done.stderr.strip().splitlines()[-1]}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that PQV_DIST names, or what `make wheel` makes."""
    if "PQV_DIST" in os.environ:
        return ROOT / os.environ["PQV_DIST"]
    need("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")
    need("javac", "default-jdk-headless")
    need("mvn", "maven")
    # One build for all workers of xdist, whose folders lie side by side.
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "dist"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _build_wheels(folder)
    return folder


def _build_wheels(folder: Path) -> None:
    part = folder.with_suffix(".part")
    done = subprocess.run(
        [ROOT / ".ci" / "build-wheels", part],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    part.rename(folder)
