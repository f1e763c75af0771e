"""A short run of the fuzzer of the kernels, on this machine and on emulated arm64 processors."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.builds import SANITIZED, build, emulator, need_sme

# A processor and the variants that it has beside scalar.
ARM64 = {
    "cortex-a53": "neon",
    "cortex-a76": "dotprod neon",
    "max,sve=off,sme=off": "i8mm dotprod neon",
    "max,sme512=on": "i8mm sme dotprod neon",
}


@cache
def build_fuzzer(preset: str) -> Path:
    """The fuzzer built with a preset of custom_ops."""
    return build(preset, "pqv_fuzz_kernels") / "pqv_fuzz_kernels"


def fuzz(command: list[str], cases: int) -> list[str]:
    """What it says, a line per op."""
    result = subprocess.run(
        [*command, "--cases", str(cases)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert lines
    return lines


def test_variants_of_this_machine() -> None:
    program = str(build_fuzzer("host"))
    if subprocess.run([program, "--cases", "0"], capture_output=True, check=False).returncode == 2:
        pytest.skip("this machine has no variant beside scalar")
    fuzz([program], 3000)


def test_sanitized(monkeypatch: pytest.MonkeyPatch) -> None:
    """With AddressSanitizer and UndefinedBehaviorSanitizer, the fuzzer itself, too."""
    for name, value in SANITIZED.items():
        monkeypatch.setenv(name, value)
    program = str(build_fuzzer("host-sanitize"))
    if subprocess.run([program, "--cases", "0"], capture_output=True, check=False).returncode == 2:
        pytest.skip("this machine has no variant beside scalar")
    fuzz([program], 300)


@pytest.mark.parametrize("variant", ["amx", "avxvnni"])
def test_emulated_variants(variant: str) -> None:
    command = [str(build_fuzzer("host-emulated")), "--variant", variant]
    none = subprocess.run([*command, "--cases", "0"], capture_output=True, check=False)
    if none.returncode == 2:
        pytest.skip("this machine has no AVX512-VNNI and GFNI")
    for line in fuzz(command, 300):
        assert line.endswith(f"cases equal on {variant}")


@pytest.mark.parametrize("cpu", ARM64)
def test_variants_of_arm64(cpu: str) -> None:
    need_sme(cpu)
    for line in fuzz([*emulator(cpu), str(build_fuzzer("linux-arm64"))], 300):
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
    result = subprocess.run(
        [str(build_fuzzer("host")), *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == message + "\n"
