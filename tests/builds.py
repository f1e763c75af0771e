"""Builds of custom_ops by its presets, shared by the tests and kept between their runs."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARM64_LIBRARIES = "/usr/aarch64-linux-gnu"
"""Where Debian has the C library for `qemu-aarch64 -L`."""

_TOOLS = {
    "host": {"cmake": "cmake"},
    "host-sanitize": {"cmake": "cmake"},
    "host-emulated": {"cmake": "cmake"},
    "host-threads": {"cmake": "cmake"},
    "host-fuzz": {
        "cmake": "cmake",
        "clang-19": "clang-19",
        "/usr/lib/llvm-19/lib/clang/19/lib": "libclang-rt-19-dev",
    },
    "linux-arm64": {"cmake": "cmake", "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu"},
    "android-nondk": {"cmake": "cmake", "clang-19": "clang-19", "ld.lld-19": "lld-19"},
}


SANITIZED = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
"""What programs of the preset host-sanitize run with; none frees what lives until its end."""


def need(tool: str, package: str) -> None:
    """Skip where a tool, a program or a path, is missing; fail in CI, which installs them all."""
    if shutil.which(tool) is None and not Path(tool).exists():
        reason = f"{tool} is not installed (Debian, Ubuntu: apt install {package})"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def need_sme(cpu: str) -> None:
    """Skip where ``cpu`` has SME and qemu's outer products are wrong, as those of 7.2 are."""
    if "sme512=on" in cpu:
        command = [*emulator(cpu), str(build("linux-arm64", "pqv_sme_test") / "pqv_sme_test")]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode == 2:
            pytest.skip("qemu-aarch64 multiplies outer products wrongly: 7.2 does, 10.0 does not")
        assert found.returncode == 0, found.stdout + found.stderr


def emulator(cpu: str) -> list[str]:
    """What runs a program of the preset linux-arm64 on an emulated processor."""
    need("qemu-aarch64", "qemu-user")
    return ["qemu-aarch64", "-L", ARM64_LIBRARIES, "-cpu", cpu]


def need_package(name: str) -> None:
    """Skip where a Python package is missing; fail there in CI, which installs the extra test."""
    if importlib.util.find_spec(name) is None:
        reason = f"{name} is not installed (pip install {name})"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def cross_build(system: str, *targets: str) -> Path:
    """The folder of a build by ``custom_ops/cmake/SYSTEM.cmake``, with the compiler of zig."""
    need("cmake", "cmake")
    need_package("ziglang")
    package = importlib.util.find_spec("ziglang")
    assert package is not None
    zig = Path(str(package.origin)).with_name("zig")
    # What is run here is not timed: building fast counts.
    options = [f"--toolchain=cmake/{system}.cmake", "-DPQV_TESTS=ON", "-DPQV_OPTIMIZATION=-O1"]
    return _build(system, options, targets, {"PQV_ZIG": str(zig)})


def build(preset: str, *targets: str) -> Path:
    """The folder of a build with the programs of the tests, in which `targets` are up to date."""
    for tool, package in _TOOLS[preset].items():
        need(tool, package)
    return _build(preset, ["--preset", preset, "-DPQV_TESTS=ON"], targets)


def _build(
    name: str, options: Sequence[str], targets: Sequence[str], variables: Mapping[str, str] = {}
) -> Path:
    folder = ROOT / "build" / "tests" / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ["cmake", *options, "-B", str(folder)],
            ["cmake", "--build", str(folder), "--parallel", "2", "--target", *targets],
        ):
            done = subprocess.run(
                command,
                cwd=ROOT / "custom_ops",
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, **variables},
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return folder
