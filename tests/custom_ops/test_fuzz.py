"""A short run of the fuzzer of the kernels, on this machine and on emulated arm64 processors."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARM64_LIBRARIES = "/usr/aarch64-linux-gnu"
# A processor and the variants that it has beside scalar.
ARM64 = {
    "cortex-a53": "neon",
    "cortex-a76": "dotprod neon",
    "max,sve=off,sme=off": "i8mm dotprod neon",
}


@cache
def build(preset: str) -> Path:
    """The fuzzer built with a preset of custom_ops."""
    folder = ROOT / "build" / "tests" / preset
    for command in (
        ["cmake", "--preset", preset, "-B", str(folder), "-DPQV_TESTS=ON"],
        ["cmake", "--build", str(folder), "--target", "pqv_fuzz_kernels"],
    ):
        result = subprocess.run(
            command, cwd=ROOT / "custom_ops", capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
    return folder / "pqv_fuzz_kernels"


def fuzz(command: list[str], cases: int) -> list[str]:
    """What it says, a line per op."""
    result = subprocess.run(
        [*command, "--cases", str(cases)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert lines
    return lines


def skip_without(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def test_variants_of_this_machine() -> None:
    skip_without("cmake")
    program = str(build("host"))
    if subprocess.run([program, "--cases", "0"], capture_output=True, check=False).returncode == 2:
        pytest.skip("this machine has no variant beside scalar")
    fuzz([program], 3000)


@pytest.mark.parametrize("cpu", ARM64)
def test_variants_of_arm64(cpu: str) -> None:
    skip_without("cmake", "qemu-aarch64", "aarch64-linux-gnu-g++")
    program = str(build("linux-arm64"))
    for line in fuzz(["qemu-aarch64", "-L", ARM64_LIBRARIES, "-cpu", cpu, program], 300):
        assert line.endswith(f"cases equal on {ARM64[cpu]}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--op", "Softmax"], "no op Softmax"),
        (["--cases", "many"], "--cases is many, expected a number"),
        (["--cases"], "--cases has no value"),
        (["--variant", "mmx"], "no variant mmx on this processor beside scalar"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str) -> None:
    skip_without("cmake")
    result = subprocess.run(
        [str(build("host")), *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == message + "\n"
