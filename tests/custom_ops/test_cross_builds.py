"""The library for macOS, cross-compiled by zig: what it exports and asks for.

Nothing here runs it. zig comes with the Python package ziglang, which is not among the extras.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from tests.builds import ROOT, need

ENTRY_POINTS = {"RegisterCustomOps", "RegisterPqvCustomOps"}
LINKERS_OWN = {"_mh_dylib_header", "__dso_handle"}


def cross_build(system: str) -> Path:
    """The folder of a build by ``custom_ops/cmake/SYSTEM.cmake``."""
    if (package := importlib.util.find_spec("ziglang")) is None:
        pytest.skip("ziglang is not installed (pip install ziglang lief)")
    zig = Path(str(package.origin)).with_name("zig")
    need("cmake", "cmake")
    need("ninja", "ninja-build")
    folder = ROOT / "build" / "tests" / system
    toolchain = ROOT / "custom_ops" / "cmake" / f"{system}.cmake"
    for command in (
        ["cmake", "-S", ROOT / "custom_ops", "-B", folder, "-G", "Ninja", "--toolchain", toolchain],
        ["cmake", "--build", folder, "--target", "pqv_ops"],
    ):
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PQV_ZIG": str(zig)}
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_macos() -> None:
    lief = pytest.importorskip("lief")
    library = lief.MachO.parse(str(cross_build("macos-arm64") / "libpqv_ops.dylib")).at(0)
    assert library.header.cpu_type == lief.MachO.Header.CPU_TYPE.ARM64
    (name,) = [command for command in library.commands if "ID_DYLIB" in str(command.command)]
    assert name.name == "@rpath/libpqv_ops.dylib"
    exported = {symbol.name.removeprefix("_") for symbol in library.exported_symbols}
    assert exported - LINKERS_OWN == ENTRY_POINTS
    asked = {entry.name for entry in library.libraries} - {name.name}
    assert asked == {"/usr/lib/libSystem.B.dylib"}
