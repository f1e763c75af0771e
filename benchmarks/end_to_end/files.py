"""Which file holds which form of a model, made anew when what it is made by has changed."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import pqv_onnx
from benchmarks.end_to_end.folders import CACHE, ROOT
from benchmarks.end_to_end.peers import MOBILE_PACKAGES, Contestant
from benchmarks.end_to_end.pythons import PYTHON, versions
from pqv_onnx.errors import PqvError
from pqv_onnx.spec import PRESETS

_SOURCES = ("qat", "integer", "graph", "ops", "spec.py", "packing.py")
_PACKAGES = ("torch", "timm", "onnxruntime", "openvino", "nncf")


def prepare(
    model: str, contestants: Mapping[str, Contestant]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Make the files that are not there yet.

    Args:
        model: a timm name.
        contestants: what will be run, by name.

    Returns:
        The file of each contestant that has one, and why each other has none.
    """
    folder = CACHE / model
    folder.mkdir(parents=True, exist_ok=True)
    targets = {name: folder / _file_name(one) for name, one in contestants.items()}
    fp32 = folder / f"fp32-{_digest('fp32')}.onnx"
    wanted = {one.recipe: targets[name] for name, one in contestants.items()}
    if any(one.runtime in ("onnxruntime", "openvino") for one in contestants.values()):
        wanted = {"fp32": fp32} | wanted  # the others are made from it
    pythons = {"fp32": PYTHON} | {one.recipe: one.python for one in contestants.values()}
    failed = {}
    for python in dict.fromkeys(pythons.values()):
        here = {recipe: path for recipe, path in wanted.items() if pythons[recipe] == python}
        if not all(path.exists() for path in here.values()):
            failed |= _run_recipes(python, model, here, folder / "prepare.log")
    errors = {name: failed[one.recipe] for name, one in contestants.items() if one.recipe in failed}
    return {name: path for name, path in targets.items() if name not in errors}, errors


def _run_recipes(python: Path, model: str, wanted: Mapping[str, Path], log: Path) -> dict[str, str]:
    """Why each recipe failed that did."""
    command = [python, "-m", "benchmarks.end_to_end.prepare", model]
    command += [f"{recipe}={path}" for recipe, path in wanted.items()]
    failed = {}
    with (
        log.open("a") as stderr,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            print(f"  {said['recipe']}: {said['error'] or 'done'}")
            if said["error"]:
                failed[said["recipe"]] = said["error"]
    if process.returncode:
        raise PqvError(f"preparing {model} failed with code {process.returncode}: see {log}")
    return failed


def size(path: Path) -> int:
    """Bytes of a model's file, and of the weights that OpenVINO and ncnn have beside it."""
    beside = path.with_suffix(".bin")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)


def _file_name(contestant: Contestant) -> str:
    python = contestant.python if contestant.environment else None
    return f"{contestant.recipe}-{_digest(contestant.recipe, python)}{contestant.suffix}"


def _digest(recipe: str, python: Path | None = None) -> str:
    """Changes with our sources, and for the peers' files with the versions of their tools."""
    digest = hashlib.sha256(Path(__file__).with_name("prepare.py").read_bytes())
    if recipe in PRESETS:
        for path in _source_files():
            digest.update(path.read_bytes())
    if python is not None:
        digest.update(Path(__file__).with_name("mobile.py").read_bytes())
        digest.update(str(versions(python, (*MOBILE_PACKAGES, "torch", "timm"))).encode())
        return digest.hexdigest()[:8]
    for package in _PACKAGES:
        try:
            digest.update(f"{package} {metadata.version(package)}".encode())
        except metadata.PackageNotFoundError:
            continue
    return digest.hexdigest()[:8]


def _source_files() -> Iterable[Path]:
    package = Path(pqv_onnx.__file__).parent
    for name in _SOURCES:
        path = package / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]
