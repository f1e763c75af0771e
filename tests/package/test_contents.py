"""What wheels and sdist hold, and for which machines."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from pqv_onnx.android.app import TEMPLATES
from pqv_onnx.android.classes import SOURCES
from pqv_onnx.version import __version__
from tests.builds import ROOT
from tests.package.conftest import VARIANTS

RECIPES = {path.name for path in (ROOT / "export" / "recipes").iterdir()}
JAVA = {str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.java")}
PROJECT = {str(path.relative_to(ROOT)) for path in TEMPLATES.rglob("*") if path.is_file()}
HEADERS = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


def test_names(dist: Path) -> None:
    wheel = f"pqv_onnx-{__version__}-py3-none-manylinux2014_{{0}}.manylinux_2_17_{{0}}.whl"
    names = {path.name for path in dist.iterdir()}
    assert names == {f"pqv_onnx-{__version__}.tar.gz", *map(wheel.format, VARIANTS)}


@pytest.mark.parametrize("machine", VARIANTS)
def test_wheel(machine: str, dist: Path) -> None:
    (path,) = dist.glob(f"*_{machine}.whl")
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
        library = wheel.read("pqv_onnx/lib/libpqv_ops.so")
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "pqv_onnx").rglob("*.py")}
    recipes = {f"pqv_onnx/recipes/{name}" for name in RECIPES}
    assert sources | recipes <= names
    others = {name for name in names - sources - recipes if ".dist-info/" not in name}
    java = {name for name in others if name.endswith(".java")}
    assert others >= PROJECT
    data = {"pqv_onnx/android/classes.jar", "pqv_onnx/bench/modelled.json"}
    assert others - java - PROJECT == {"pqv_onnx/lib/libpqv_ops.so", *data}
    assert {name.removeprefix("pqv_onnx/android/java/") for name in java} == JAVA
    assert ELFFile(io.BytesIO(library)).header["e_machine"] == HEADERS[machine]
    for variant in VARIANTS[machine]:  # a compiler that lacks flags leaves one out
        assert variant.encode() + b"\0" in library, variant


def test_sdist(dist: Path) -> None:
    root = f"pqv_onnx-{__version__}"
    with tarfile.open(dist / f"{root}.tar.gz") as sdist:
        paths = [Path(name).relative_to(root) for name in sdist.getnames()]
    files = {path for path in paths if len(path.parts) == 1}
    documents = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"}
    assert {str(path) for path in files} == documents | {"pyproject.toml", "PKG-INFO"}
    folders = {path.parts[0] for path in paths if len(path.parts) > 1}
    assert folders == {"pqv_onnx", "custom_ops", "export"}
    assert {path.name for path in paths if path.parts[0] == "export"} == RECIPES
