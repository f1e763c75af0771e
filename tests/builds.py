"""Builds of custom_ops by its presets, shared by the tests and kept between their runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARM64_LIBRARIES = "/usr/aarch64-linux-gnu"
"""Where Debian has the C library for `qemu-aarch64 -L`."""

_TOOLS = {
    "host": {"cmake": "cmake"},
    "host-sanitize": {"cmake": "cmake"},
    "linux-arm64": {"cmake": "cmake", "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu"},
    "android-nondk": {"cmake": "cmake", "clang-19": "clang-19", "ld.lld-19": "lld-19"},
}


SANITIZED = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
"""What programs of the preset host-sanitize run with; none frees what lives until its end."""


def need(tool: str, package: str) -> None:
    """Skip where a tool is missing; fail there in CI, which installs them all."""
    if shutil.which(tool) is None:
        reason = f"{tool} is not installed (Debian, Ubuntu: apt install {package})"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def build(preset: str, *targets: str) -> Path:
    """The folder of a build with the programs of the tests, in which `targets` are up to date."""
    for tool, package in _TOOLS[preset].items():
        need(tool, package)
    folder = ROOT / "build" / "tests" / preset
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ["cmake", "--preset", preset, "-B", str(folder), "-DPQV_TESTS=ON"],
            ["cmake", "--build", str(folder), "--target", *targets],
        ):
            done = subprocess.run(
                command, cwd=ROOT / "custom_ops", capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return folder
