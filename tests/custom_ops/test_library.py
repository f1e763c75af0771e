"""The library as a file: what it exports and what it needs."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pqv_onnx.runtime.library import get_library_path


def output_of(tool: str, *arguments: str) -> str:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    result = subprocess.run(
        [tool, *arguments, get_library_path()], check=True, capture_output=True, text=True
    )
    if "asan" in result.stdout:
        pytest.skip("this is the build with sanitizers")
    return result.stdout


def test_it_exports_one_symbol() -> None:
    symbols = [line.split()[-1] for line in output_of("nm", "-D", "--defined-only").splitlines()]
    assert symbols == ["RegisterCustomOps"]


def test_it_needs_only_libc_and_libm() -> None:
    lines = output_of("readelf", "-d", "-W").splitlines()
    needed = {line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line}
    assert needed <= {"libc.so.6", "libm.so.6"}


def test_it_is_hardened() -> None:
    dynamic = output_of("readelf", "-d", "-W")
    assert "BIND_NOW" in dynamic
    assert "TEXTREL" not in dynamic
    headers = output_of("readelf", "-l", "-W")
    assert "GNU_RELRO" in headers
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack
