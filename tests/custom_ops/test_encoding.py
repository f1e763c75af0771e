"""Which instructions the kernels are made of, for a variant that few machines can run."""

from __future__ import annotations

import subprocess

import pytest

from tests.builds import build, need

_EVEX = "62"
"""The first byte of an instruction in AVX-512's encoding."""


def test_avx_vnni_needs_no_avx512() -> None:
    need("objdump", "binutils")
    objects = sorted(build("host", "pqv_kernels").rglob("avxvnni.cc.o"))
    if not objects:
        pytest.skip("no kernels for AVX-VNNI are built for this machine, or by this compiler")
    for path in objects:
        listing = subprocess.run(
            ["objdump", "--disassemble", path], capture_output=True, text=True, check=True
        ).stdout
        # Address, bytes, text.
        lines = [line.split("\t") for line in listing.splitlines() if line.count("\t") == 2]
        assert any("vpdpbusd" in text for _, _, text in lines), path
        assert not [text for _, code, text in lines if code.split()[0] == _EVEX], path
