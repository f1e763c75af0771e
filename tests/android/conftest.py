"""Builds for Android, made once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def need(tool: str, package: str) -> None:
    """Skip where a tool is missing; fail there in CI, which installs them all."""
    if shutil.which(tool) is None:
        reason = f"{tool} is not installed (Debian, Ubuntu: apt install {package})"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def build(preset: str, folder: Path) -> Path:
    """A build by a preset of custom_ops/CMakePresets.json, in a folder of its own."""
    source = ROOT / "custom_ops"
    for command in (
        ["cmake", "--preset", preset, "-B", folder],
        ["cmake", "--build", folder],
    ):
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def android_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of libpqv_ops.so and pqv_run for Android, built without an NDK."""
    need("cmake", "cmake")
    need("clang-19", "clang-19")
    need("ld.lld-19", "lld-19")
    return build("android-nondk", tmp_path_factory.mktemp("android-nondk"))
