"""pqv_run, built for this machine, and the onnxruntime library that it loads."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from pqv_onnx.runtime.library import get_library_path
from tests.builds import build
from tests.cli.conftest import pqv  # noqa: F401

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def pqv_run() -> Path:
    """The program, for this machine."""
    return build("host", "pqv_run") / "pqv_run"


@pytest.fixture(scope="session")
def onnxruntime_library() -> Path:
    """libonnxruntime.so of the Python package."""
    found = list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not found:
        pytest.skip(f"onnxruntime {onnxruntime.__version__} for Python has no libonnxruntime.so")
    return found[0]


@pytest.fixture(scope="session")
def run(pqv_run: Path, onnxruntime_library: Path) -> Run:
    """Runs the program with onnxruntime and the op library named."""

    def run(*arguments: str | Path, **changes: Any) -> subprocess.CompletedProcess[str]:
        libraries = ["--onnxruntime", onnxruntime_library, "--library", get_library_path()]
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **changes}
        return subprocess.run([pqv_run, *libraries, *arguments], check=False, **how)

    return run


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a run that failed."""
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("pqv_run: error: ")
    return line.removeprefix("pqv_run: error: ")
