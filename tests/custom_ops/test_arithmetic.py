"""The integer arithmetic of vectors against its definition."""

from __future__ import annotations

import platform
import subprocess

import pytest

from tests.builds import build


@pytest.mark.skipif(platform.machine() != "x86_64", reason="tests AVX2 and AVX-512")
def test_of_this_machine() -> None:
    program = build("host", "pqv_arithmetic_test") / "pqv_arithmetic_test"
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
