"""`pqv android build`: what CMake is asked to do, and what is missing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.android.conftest import put_program
from tests.cli.conftest import Pqv


@pytest.fixture
def cmake(tmp_path: Path, android_build: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources, and a cmake that records its arguments and copies a build that is there."""
    sources = tmp_path / "custom_ops"
    sources.mkdir()
    (sources / "CMakePresets.json").write_text("{}")
    script = f"""echo "$ANDROID_NDK_HOME: $@" >> "{tmp_path}/log"
    case $1 in --build)
        mkdir -p "../build/$3" && cd {android_build} &&
            cp libpqv_ops.so pqv_run "$OLDPWD/../build/$3"
    esac"""
    put_program(tmp_path / "cmake", script)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    return sources


def make_ndk(folder: Path) -> Path:
    toolchain = folder / "build/cmake/android.toolchain.cmake"
    toolchain.parent.mkdir(parents=True)
    toolchain.touch()
    return folder


def test_without_an_ndk(pqv: Pqv, cmake: Path, tmp_path: Path) -> None:
    done = pqv("android", "build", "--source", cmake, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert (tmp_path / "log").read_text().splitlines() == [
        ": --preset android-nondk",
        ": --build --preset android-nondk --target pqv_ops pqv_run",
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"libpqv_ops.so", "pqv_run"}
    assert stat.S_IMODE((tmp_path / "out" / "pqv_run").stat().st_mode) == 0o755


@pytest.mark.parametrize("flag", [True, False])
def test_with_an_ndk(
    flag: bool, pqv: Pqv, cmake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ndk = make_ndk(tmp_path / "ndk")
    if not flag:
        monkeypatch.setenv("ANDROID_NDK_HOME", str(ndk))
    flags = ("--ndk", ndk) if flag else ()
    done = pqv("android", "build", "--source", cmake, "-o", tmp_path / "out", *flags)
    assert done.code == 0, done.err
    assert (tmp_path / "log").read_text().startswith(f"{ndk}: --preset android\n")


def test_what_is_missing(
    pqv: Pqv, cmake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = ("android", "build", "-o", tmp_path / "out")
    assert "--ndk" in pqv(*build, "--source", cmake, "--ndk", tmp_path).error
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for folder in (tmp_path, tmp_path / "loop"):
        assert "not the sources of the op library" in pqv(*build, "--source", folder).error
    monkeypatch.setenv("ANDROID_NDK_HOME", "/none")
    assert "ANDROID_NDK_HOME /none: not an Android NDK" in pqv(*build, "--source", cmake).error
    monkeypatch.delenv("ANDROID_NDK_HOME")
    monkeypatch.setenv("PATH", "/none")
    assert "cmake not found on the PATH" in pqv(*build, "--source", cmake).error
    assert not (tmp_path / "out").exists()


def test_a_missing_compiler_is_named(pqv: Pqv, cmake: Path, tmp_path: Path) -> None:
    message = """CMake Error at cmake/android-nondk.cmake:13 (message):
  clang and lld not found, expected
  on the PATH
Call Stack (most recent call first):
"""
    put_program(tmp_path / "cmake", f"echo '{message}' >&2; exit 1")
    error = pqv("android", "build", "--source", cmake, "-o", tmp_path / "out").error
    assert "android-nondk cannot be built: clang and lld not found, expected on the PATH" in error


def test_a_library_that_breaks_a_rule(pqv: Pqv, cmake: Path, tmp_path: Path) -> None:
    script = 'case $1 in --build) mkdir -p "../build/$3"; cd "../build/$3"; '
    put_program(tmp_path / "cmake", script + "echo > libpqv_ops.so; echo > pqv_run; esac")
    error = pqv("android", "build", "--source", cmake, "-o", tmp_path / "out").error
    assert "libpqv_ops.so: not an ELF file" in error
    assert not (tmp_path / "out").exists()
