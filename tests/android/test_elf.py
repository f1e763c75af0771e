"""The checker of ELF rules: on what we build, and on libraries that break one rule each."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pqv_onnx.android.elf import (
    ANDROID_LIBRARY,
    ANDROID_PROGRAM,
    LINUX_LIBRARIES,
    Rules,
    breaches,
    check,
)
from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.library import get_library_path
from tests.builds import build

MACHINE = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}[platform.machine()]
HOST = LINUX_LIBRARIES[MACHINE]

SOURCE = """
static int value;
int* RegisterCustomOps(void) { return &value; }
int* RegisterPqvCustomOps(void) { return &value; }
"""
GOOD_FLAGS = [
    "-Wl,-soname,libpqv_ops.so",
    "-Wl,-z,now,-z,relro,-z,noexecstack",
    "-Wl,-z,max-page-size=16384,-z,common-page-size=16384",
    "-fvisibility=default",
]


def compile_library(folder: Path, source: str = SOURCE, *flags: str) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    library = folder / "libpqv_ops.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, *GOOD_FLAGS, *flags]
    subprocess.run(command, input=source, text=True, check=True)
    return library


def test_the_library_of_this_machine() -> None:
    with open(get_library_path(), "rb") as file:
        if b"__asan" in file.read():
            pytest.skip("this is the build with sanitizers")
    assert breaches(get_library_path(), HOST) == []


def test_the_build_for_linux_on_arm64() -> None:
    library = build("linux-arm64", "pqv_ops") / "libpqv_ops.so"
    assert breaches(library, LINUX_LIBRARIES["EM_AARCH64"]) == []
    found = breaches(library, ANDROID_LIBRARY)
    assert any("libc.so.6, expected only libc.so" in phrase for phrase in found), found


def test_the_android_build(android_build: Path) -> None:
    assert breaches(android_build / "libpqv_ops.so", ANDROID_LIBRARY) == []
    assert breaches(android_build / "pqv_run", ANDROID_PROGRAM) == []
    # No rule of Android: other compilers than the one of this build may need more.
    assert (android_build / "libpqv_ops.so").stat().st_size <= 450_000
    check(android_build / "libpqv_ops.so", ANDROID_LIBRARY)


def test_a_good_library(tmp_path: Path) -> None:
    assert breaches(compile_library(tmp_path), replace(HOST, page_size=0x4000)) == []


TEXTREL = """
__asm__(".text\\n.globl RegisterCustomOps\\n.globl RegisterPqvCustomOps\\n"
        "RegisterCustomOps:\\nRegisterPqvCustomOps: .quad RegisterCustomOps\\n");
"""


@pytest.mark.parametrize(
    ("source", "flags", "rules", "reason"),
    [
        (SOURCE, [], {"machine": "EM_ARM"}, f"is for {MACHINE}, expected EM_ARM"),
        (SOURCE, [], {"page_size": 1 << 20}, "is aligned to 0x4000, expected 0x100000"),
        (SOURCE, [], {"page_size": 1 << 20}, "does not end with a page of 0x100000"),
        (SOURCE, ["-Wl,-z,norelro"], {}, "has no RELRO part"),
        (SOURCE, ["-Wl,-z,execstack"], {}, "asks for an executable stack"),
        (SOURCE, ["-Wl,-z,lazy"], {}, "is bound lazily"),
        (SOURCE, ["-Wl,--hash-style=sysv"], {}, "has no GNU hash table"),
        (SOURCE, ["-Wl,-rpath,/opt"], {}, "has a search path of its own"),
        (SOURCE, ["-Wl,-soname,libother.so"], {}, "calls itself libother.so"),
        (SOURCE, ["-Wl,-z,pack-relative-relocs"], {}, "has RELR relocations"),
        (SOURCE, ["-Wl,--no-as-needed", "-lresolv"], {}, "needs libresolv.so.2, expected only"),
        (SOURCE + "int more;", [], {}, "'more'"),
        (SOURCE + "__thread int each;", [], {}, "has thread-local storage"),
        (TEXTREL, ["-Wl,-z,notext"], {}, "has text relocations"),
    ],
)
def test_each_rule(
    source: str, flags: list[str], rules: dict[str, object], reason: str, tmp_path: Path
) -> None:
    library = compile_library(tmp_path, source, *flags)
    asked: Rules = replace(HOST, **{"page_size": 0x4000, **rules})
    found = breaches(library, asked)
    assert any(reason in phrase for phrase in found), found
    with pytest.raises(PqvError, match="libpqv_ops.so: "):
        check(library, asked)


def test_a_library_without_section_headers(tmp_path: Path) -> None:
    data = bytearray(compile_library(tmp_path).read_bytes())
    data[40:48] = bytes(8)  # e_shoff
    data[60:64] = bytes(4)  # e_shnum, e_shstrndx
    (tmp_path / "bare.so").write_bytes(data)
    assert any("no section headers" in phrase for phrase in breaches(tmp_path / "bare.so", HOST))


@pytest.mark.parametrize("data", [b"", b"not an ELF file", b"\x7fELF", b"\x7fELF\x02\x01" * 30])
def test_what_is_no_library(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(data)
    with pytest.raises(PqvError, match=r"x\.so: not a"):
        breaches(tmp_path / "x.so", HOST)


def test_a_missing_file() -> None:
    with pytest.raises(PqvError, match=r"missing\.so: cannot be read"):
        breaches("missing.so", HOST)


def test_a_truncated_library(tmp_path: Path) -> None:
    data = compile_library(tmp_path).read_bytes()
    for size in (100, 500, len(data) // 2, len(data) - 64):
        (tmp_path / "cut.so").write_bytes(data[:size])
        with pytest.raises(PqvError, match=r"cut\.so: not a"):
            breaches(tmp_path / "cut.so", HOST)
