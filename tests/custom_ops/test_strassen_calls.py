"""Calls inside of assembly, where code is protected by landing pads and where it is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.builds import ROOT, emulator, need

_COMPILERS = {
    "gcc": ["aarch64-linux-gnu-g++", "-fuse-ld=bfd"],
    "clang": ["clang++-19", "--target=aarch64-linux-gnu", "-fuse-ld=lld"],
}


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("compiler", _COMPILERS)
def test_products_of_every_length(compiler: str, protected: bool, tmp_path: Path) -> None:
    need("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")  # its headers serve clang, too
    need("clang++-19", "clang-19")
    need("ld.lld-19", "lld-19")
    program = tmp_path / "strassen_calls"
    flags = ["-std=c++17", "-O2", "-march=armv8.2-a+dotprod", "-fno-exceptions", "-fno-builtin"]
    flags += ["-ffreestanding", "-nostdlib", "-static", f"-I{ROOT / 'custom_ops'}"]
    if protected:
        flags += ["-mbranch-protection=standard", "-Wl,-z,force-bti"]
    source = ROOT / "tests" / "custom_ops" / "strassen_calls.cc"
    command = [*_COMPILERS[compiler], *flags, str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([*emulator("max,sve=off"), program], check=False)
    assert done.returncode == 0
