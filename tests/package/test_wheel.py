"""A built wheel by itself: an empty environment without torch runs, verifies and times models.

Python 3.11 to 3.14 where ``PQV_PYTHONS`` names them; arm64 is emulated, and slow.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pqv_onnx
from benchmarks.arm64.emulator import CPUS, cpu_info
from tests.builds import need
from tests.marks import slow
from tests.package.conftest import VARIANTS, Installed, check_pip, clean_environment

PYTHONS = os.environ.get("PQV_PYTHONS", sys.executable).split()
NAME = "deit_tiny_patch16_224.w4a4"
PLATFORMS = ("manylinux_2_17", "manylinux2014", "manylinux_2_27", "manylinux_2_28")


@pytest.fixture(scope="module", params=PYTHONS, ids=lambda path: Path(path).name)
def installed(
    request: pytest.FixtureRequest, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """The wheel of this machine in a new virtual environment."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([request.param, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = dist.glob(f"*_{platform.machine()}.whl")
    install = [python, "-m", "pip", "install", "--quiet", wheel]
    environment = clean_environment()
    check_pip(subprocess.run(install, capture_output=True, text=True, env=environment, check=False))
    (folder / "empty").mkdir()
    return Installed((python,), environment, folder / "empty")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def checkout(folder: Path) -> Installed:
    """The package of this process."""
    paths = os.pathsep.join(str(Path(path).parent) for path in pqv_onnx.__path__)
    return Installed((sys.executable,), {**os.environ, "PYTHONPATH": paths}, folder)


def check_commands(installed: Installed, model: Path, photo: Path) -> None:
    """The commands that a wheel is for, and the logits of this checkout."""
    info = installed.json("info")
    assert info["pqv_onnx"] == pqv_onnx.__version__
    assert info["packages"]["torch"] is None
    assert set(info["library"]["variants"]) == set(VARIANTS[info["machine"]])
    (found,) = installed.json("run", model, photo)["results"]
    (expected,) = checkout(installed.folder).json("run", model, photo)["results"]
    assert found == expected
    assert "bit-exact" in installed.pqv("verify", model)
    assert installed.json("inspect", model)["float_nodes"] == []
    assert "median ms" in installed.pqv("bench", model, "--runs", "3", "--warmup", "1")


def test_commands(installed: Installed, tiny_onnx: dict[str, Path], photo: Path) -> None:
    check_commands(installed, tiny_onnx["w4a4"], photo)


def test_recipes(installed: Installed) -> None:
    assert NAME in installed.json("recipes")
    assert installed.pqv("recipes", NAME).startswith('model = "deit_tiny_patch16_224"')


def test_what_is_missing(installed: Installed) -> None:
    """All that training takes is named, and can be given to pip as it stands."""
    done = installed.run("-m", "pqv_onnx.cli.main", "train", "--recipe", NAME, "-o", "run")
    assert done.returncode == 1, done.stdout
    assert "this command needs " in done.stderr and ": pip install 'accelerate>=" in done.stderr
    assert "'timm>=" in done.stderr and "'torch>=" in done.stderr


ON_X86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="builds for itself alone")


def debian_python(suite: str, version: str, architecture: str, root: Path) -> None:
    """Debian's Python, taken out of its packages into a folder."""
    need("mmdebstrap", "mmdebstrap")
    packages = f"python{version},libstdc++6,libgcc-s1"
    options = ("--variant=extract", f"--arch={architecture}", f"--include={packages}")
    subprocess.run(["mmdebstrap", "--quiet", *options, suite, root], check=True)


def install_for(machine: str, version: str, wheel: Path, folder: Path) -> None:
    """A wheel and what it asks for, for another Python or machine."""
    platforms = [f"--platform={name}_{machine}" for name in PLATFORMS]
    install = ["install", "--quiet", "--target", folder, "--only-binary=:all:", *platforms]
    command = [sys.executable, "-m", "pip", *install, f"--python-version={version}", wheel]
    check_pip(subprocess.run(command, capture_output=True, text=True, check=False))


@slow
@ON_X86_64
def test_debians_newer_python(
    dist: Path, tiny_onnx: dict[str, Path], photo: Path, tmp_path: Path
) -> None:
    """Python 3.13 of Debian 13, with its own C library."""
    root, packages = tmp_path / "root", tmp_path / "packages"
    debian_python("trixie", "3.13", "amd64", root)
    (wheel,) = dist.glob("*_x86_64.whl")
    install_for("x86_64", "3.13", wheel, packages)
    (tmp_path / "empty").mkdir()
    libraries = root / "usr" / "lib" / "x86_64-linux-gnu"
    newer = Installed(
        (
            *(libraries / "ld-linux-x86-64.so.2", "--library-path", libraries),
            root / "usr" / "bin" / "python3.13",
        ),
        clean_environment(PYTHONPATH=str(packages), PYTHONHOME=str(root / "usr")),
        tmp_path / "empty",
    )
    assert newer.run("-V").stdout.startswith("Python 3.13")
    check_commands(newer, tiny_onnx["w4a4"], photo)


@slow
@ON_X86_64
def test_emulated_arm64(
    dist: Path, tiny_onnx: dict[str, Path], photo: Path, tmp_path: Path
) -> None:
    """With Debian's Python for arm64, and the arm64 wheels of onnxruntime and the others."""
    need("qemu-aarch64", "qemu-user")
    root, packages = tmp_path / "root", tmp_path / "packages"
    debian_python("bookworm", "3.11", "arm64", root)
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(cpu_info(CPUS["dotprod"]))
    (wheel,) = dist.glob("*_aarch64.whl")
    install_for("aarch64", "3.11", wheel, packages)
    (tmp_path / "empty").mkdir()
    emulator = ("qemu-aarch64", "-L", root, "-cpu", CPUS["dotprod"].name)
    arm64 = Installed(
        (*emulator, root / "usr" / "bin" / "python3.11"),
        clean_environment(PYTHONPATH=str(packages), PYTHONHOME="/usr"),
        tmp_path / "empty",
    )
    assert arm64.json("info")["library"]["selected"] == "dotprod"
    check_commands(arm64, tiny_onnx["w4a4"], photo)
