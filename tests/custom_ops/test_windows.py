"""The DLL, cross-compiled by zig, under wine: every op alone, a model on onnxruntime's own DLL."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import pqv_onnx
from tests.builds import cross_build, need
from tests.custom_ops.case_file import drive
from tests.custom_ops.models import library_info
from tests.marks import slow
from tests.package.conftest import check_pip

# zig makes Windows' C runtime before it links anything.
pytestmark = slow


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where the DLL and the programs are."""
    return cross_build("windows", "pqv_ops", "pqv_abi_host", "pqv_run_model")


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The command that runs a program, in a Windows of its own."""
    # Debian's package wine64 alone has the loader, and no command.
    found = shutil.which("wine") or shutil.which("wine64", path="/usr/lib/wine")
    if found is None:
        need("wine", "wine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINEPREFIX", str(tmp_path_factory.mktemp("wine")))
        patch.setenv("WINEDEBUG", "-all")
        patch.setenv("WINEDLLOVERRIDES", "mscoree,mshtml=")  # asks to install them
        yield str(found)


def test_every_op(wine: str, folder: Path, cases: list[Path]) -> None:
    for isa in set(library_info()["available"]) - {"amx"}:  # which it knows on Linux only
        drive([wine, folder / "pqv_abi_host.exe"], folder / "pqv_ops.dll", cases, isa)


def test_a_model_on_onnxruntime(
    wine: str,
    folder: Path,
    tiny_onnx: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = onnxruntime_dll(tmp_path)
    images = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    images.tofile(tmp_path / "images")
    program = [wine, folder / "pqv_run_model.exe", runtime, windows(folder / "pqv_ops.dll")]
    command = [*program, tiny_onnx["w4a4"], tmp_path / "images", tmp_path / "logits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (expected,) = pqv_onnx.InferenceSession(tiny_onnx["w4a4"]).run(None, {"images": images})
    assert np.array_equal(np.fromfile(tmp_path / "logits", np.float32), expected.ravel())

    monkeypatch.setenv("PQV_ISA", "neon")  # so it is the library that ran
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "PQV_ISA" in done.stderr


def onnxruntime_dll(folder: Path) -> str:
    """onnxruntime's library out of the wheel for Windows, of the version that is installed here."""
    options = ("--no-deps", "--only-binary=:all:", "--platform=win_amd64", "--python-version=3.11")
    wanted = f"onnxruntime=={onnxruntime.__version__}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "-d", folder, wanted]
    check_pip(subprocess.run(command, capture_output=True, text=True, check=False))
    (wheel,) = folder.glob("onnxruntime-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extract("onnxruntime/capi/onnxruntime.dll", folder)
    return windows(folder / "onnxruntime" / "capi" / "onnxruntime.dll")


def windows(path: Path) -> str:
    """A path as programs in wine name it."""
    return "Z:" + str(path).replace("/", "\\")
