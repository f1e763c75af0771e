"""The preset android, as far as it goes without an NDK."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.builds import ROOT, need


def configure(folder: Path) -> str:
    """What CMake says of a configuration that fails, in one line."""
    need("cmake", "cmake")
    done = subprocess.run(
        ["cmake", "--preset", "android", "-B", folder],
        cwd=ROOT / "custom_ops",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("home", [None, "", "/nowhere"])
def test_without_an_ndk(home: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("ANDROID_NDK_HOME", home)
    reason = (
        f"ANDROID_NDK_HOME='{home or ''}' names no Android NDK: set it to an NDK of r26 or newer"
    )
    assert reason in configure(tmp_path / "build")


def test_what_the_ndk_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its toolchain file gets the ABI and the API level; a stand-in says so and stops."""
    file = tmp_path / "build" / "cmake" / "android.toolchain.cmake"
    file.parent.mkdir(parents=True)
    file.write_text('message(FATAL_ERROR "for ${ANDROID_ABI} ${ANDROID_PLATFORM} ${ANDROID_STL}")')
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    assert "for arm64-v8a android-24 c++_static" in configure(tmp_path / "out")
