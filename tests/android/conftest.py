"""What the tests of the Android side share."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.builds import build
from tests.cli.conftest import Pqv, pqv  # noqa: F401
from tests.runner.conftest import onnxruntime_library, pqv_run  # noqa: F401

FAKE_ADB = Path(__file__).with_name("fake_adb.py")


@pytest.fixture(scope="session")
def android_build() -> Path:
    """Folder of libpqv_ops.so and pqv_run for Android, built without an NDK."""
    return build("android-nondk", "pqv_ops", "pqv_run")


def fake_onnxruntime(version: str = "1.22.0", machine: int = 183) -> bytes:
    """The least ELF file for arm64 (183) whose symbols have the version of an onnxruntime."""
    names = b"\0" + f"VERS_{version}".encode() + b"\0"
    names += bytes(-len(names) % 8)
    definition = b"".join(
        n.to_bytes(size, "little")
        # Elf64_Verdef: version, flags, index, count, hash, aux, next; Elf64_Verdaux: name, next.
        for n, size in zip((1, 0, 2, 1, 0, 20, 0, 1, 0), (2, 2, 2, 2, 4, 4, 4, 4, 4), strict=True)
    )
    definition += bytes(-len(definition) % 8)
    sections = b"\0.d\0.s\0\0"

    def header(name: int, kind: int, offset: int, size: int, link: int, info: int) -> bytes:
        fields = ((name, 4), (kind, 4), (0, 8), (0, 8), (offset, 8), (size, 8), (link, 4))
        fields += ((info, 4), (1, 8), (0, 8))
        return b"".join(value.to_bytes(width, "little") for value, width in fields)

    at = 64
    table = at + len(names) + len(definition) + len(sections)
    headers = header(0, 0, 0, 0, 0, 0)
    headers += header(4, 3, at, len(names), 0, 0)
    headers += header(1, 0x6FFFFFFD, at + len(names), len(definition), 1, 1)
    headers += header(4, 3, table - len(sections), len(sections), 0, 0)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    fields = ((3, 2), (machine, 2), (1, 4), (0, 8), (0, 8), (table, 8), (0, 4), (64, 2))
    fields += ((56, 2), (0, 2), (64, 2), (4, 2), (3, 2))
    start = ident + b"".join(value.to_bytes(width, "little") for value, width in fields)
    return start + names + definition + sections + headers


def write_fake_aar(path: Path, entries: dict[str, bytes] | None = None) -> Path:
    """An onnxruntime-android package, or something like it."""
    if entries is None:
        entries = {"jni/arm64-v8a/libonnxruntime.so": fake_onnxruntime()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def aar(tmp_path: Path) -> Path:
    """A package of onnxruntime 1.22.0."""
    return write_fake_aar(tmp_path / "onnxruntime-android.aar")


class Phone:
    """The folder that fake_adb.py takes for a phone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = {}
        (folder / "root/data/local/tmp").mkdir(parents=True)
        for core, khz in enumerate([1_800_000, 1_800_000, 2_400_000, 2_800_000]):
            clock = folder / f"root/sys/devices/system/cpu/cpu{core}/cpufreq"
            clock.mkdir(parents=True)
            (clock / "cpuinfo_max_freq").write_text(f"{khz}\n")

    def set(self, **changes: Any) -> None:
        """Change what is wrong with it; see fake_adb.py."""
        self.config.update(changes)
        (self.folder / "config.json").write_text(json.dumps(self.config))

    @property
    def commands(self) -> list[str]:
        """What adb was asked to do."""
        log = self.folder / "commands"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def files(self) -> set[str]:
        """What lies in the folder of the bundle."""
        root = self.folder / "root/data/local/tmp/pqv"
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    """One healthy phone behind the only adb of the PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    folder = tmp_path / "phone"
    put_program(programs / "adb", f'exec "{sys.executable}" -I "{FAKE_ADB}" "{folder}" "$@"')
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    made = Phone(folder)
    made.set(
        devices={"R5CT": "device"},
        properties={
            "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a",
            "ro.build.version.sdk": "34",
            "ro.build.version.release": "14",
            "ro.product.manufacturer": "Acme",
            "ro.product.model": "P1",
        },
        free_kb=10**7,
    )
    return made


def put_program(path: Path, script: str) -> None:
    """A shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def bundle(
    pqv: Pqv,  # noqa: F811
    aar: Path,
    android_build: Path,
    tiny_onnx: dict[str, Path],
    tmp_path: Path,
) -> Path:
    """A bundle of the tiny models."""
    models = ("-m", tiny_onnx["w4a4"], "-m", tiny_onnx["w8a8"])
    done = pqv(
        "android",
        "bundle",
        *models,
        "--aar",
        aar,
        "--binaries",
        android_build,
        "-o",
        tmp_path / "b",
    )
    assert done.code == 0, done.err
    return tmp_path / "b"
