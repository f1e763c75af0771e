"""A folder with everything that a phone needs to run and time models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pqv_onnx.android.build import find_binaries
from pqv_onnx.android.models import KINDS, check_model
from pqv_onnx.android.onnxruntime_aar import Runtime
from pqv_onnx.android.target import ABI, LIBRARY, MINIMUM_API, RUNNER, RUNTIME, sha256
from pqv_onnx.errors import PqvError
from pqv_onnx.files import (
    LARGEST_TEXT,
    check_whole_folder,
    read_bytes,
    whole_folder,
    write_files,
)
from pqv_onnx.ops.domain import VERSION
from pqv_onnx.version import __version__

MANIFEST = "manifest.json"
SCRIPT = "run.sh"
FORMAT = 1

_SCRIPT = f"""#!/system/bin/sh
# Runs a model on the phone; paths are relative to this folder.
#   sh {SCRIPT} models/m.onnx photo.jpg        sh {SCRIPT} models/m.onnx --runs 50 --threads 4
# Models without ops of the domain pqv need --functions, too. --help shows all options.
cd "$(dirname "$0")" && exec ./{RUNNER} "$@"
"""


@dataclass(frozen=True)
class Bundle:
    """A folder that ``write_bundle`` made, and its manifest."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def files(self) -> list[str]:
        """Paths in the folder, those of the manifest and the manifest."""
        return [*(entry["path"] for entry in self.manifest["files"]), MANIFEST]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum((self.folder / name).stat().st_size for name in self.files)


def write_bundle(
    folder: str | os.PathLike[str],
    models: Iterable[tuple[str, str | os.PathLike[str]]],
    binaries: str | os.PathLike[str],
    runtime: Runtime,
) -> Bundle:
    """Write a bundle: onnxruntime, op library, runner, models, a script and a manifest.

    Args:
        folder: made; a bundle that is there already is replaced.
        models: each with its kind, a name of ``KINDS``; the first one must be ``pqv``.
        binaries: folder of ``libpqv_ops.so`` and ``pqv_run`` for Android.
        runtime: onnxruntime for Android.

    Raises:
        PqvError: a model cannot run there or is not comparable with the first, a binary breaks
            a rule of Android, or the folder holds something else or cannot be written.
    """
    target = Path(folder)
    _check_replaceable(target)
    found = find_binaries(binaries)
    contents = {
        RUNTIME: runtime.library,
        LIBRARY: found.library.read_bytes(),
        RUNNER: found.runner.read_bytes(),
        SCRIPT: _SCRIPT.encode(),
    }
    listed: list[dict[str, Any]] = []
    elements = None
    for kind, source in models:
        path = f"models/{Path(source).name}"
        if path in contents:
            raise PqvError(f"{source}: a model of this name is in the bundle already")
        size = check_model(source, kind)
        elements = elements or size
        if size != elements:
            raise PqvError(
                f"{source}: an input has {size} values, expected {elements} as of the first model"
            )
        contents[path] = Path(source).read_bytes()
        listed.append({"name": Path(source).stem, "kind": kind, "path": path})
    manifest = _manifest(contents, listed, runtime)
    _write(target, {**contents, MANIFEST: (json.dumps(manifest, indent=2) + "\n").encode()})
    return Bundle(target, manifest)


def read_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Read a bundle's manifest and compare its files with it.

    Raises:
        PqvError: the folder is no bundle, or a file is missing or another than the manifest says.
    """
    root = Path(folder)
    if not (root / MANIFEST).is_file():
        raise PqvError(
            f"{root}: not a bundle, which `pqv android bundle` makes: it has no {MANIFEST}"
        )
    try:
        manifest = json.loads(read_bytes(root / MANIFEST, LARGEST_TEXT, "text"))
        is_known = manifest["format"] == FORMAT
        entries = [_strings(entry, "path", "sha256") for entry in manifest["files"]]
        models = [_strings(model, "name", "kind", "path") for model in manifest["models"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PqvError(f"{root / MANIFEST}: not a manifest of a bundle, or a broken one") from error
    if not is_known or not models or any(kind not in KINDS for _, kind, _ in models):
        raise PqvError(f"{root / MANIFEST}: not of the format {FORMAT} that this version reads")
    for path in (path for path, _ in entries):
        if not _is_inside(path):
            raise PqvError(f"{root / MANIFEST}: the path {path!r} does not stay in the bundle")
    listed = {path for path, _ in entries}
    for path in (path for _, _, path in models):
        if path not in listed:
            raise PqvError(f"{root / MANIFEST}: the model {path!r} is none of the bundle's files")
    for path, digest in entries:
        if not (root / path).is_file():  # a pipe would be waited for
            raise PqvError(f"{root / path}: there is no such file")
        try:
            data = (root / path).read_bytes()
        except OSError as error:
            raise PqvError(f"{root / path}: cannot be read: {error.strerror}") from error
        if sha256(data) != digest:
            raise PqvError(f"{root / path}: not the file that the bundle was made with")
    return Bundle(root, manifest)


def _strings(entry: dict[str, Any], *keys: str) -> tuple[str, ...]:
    """Values of an entry of a manifest; TypeError if one is no string."""
    values = tuple(entry[key] for key in keys)
    if not all(isinstance(value, str) for value in values):
        raise TypeError
    return values


def _is_inside(path: str) -> bool:
    """Whether a path, here and on the phone, names a file in the folder that it is relative to."""
    parts = path.split("/")
    return path.isprintable() and not any(part in ("", ".", "..") for part in parts)


def _manifest(
    contents: dict[str, bytes], models: list[dict[str, Any]], runtime: Runtime
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "pqv_onnx": __version__,
        "op_domain_version": VERSION,
        "onnxruntime": runtime.version,
        "abi": ABI,
        "minimum_api": MINIMUM_API,
        "models": models,
        "files": [
            {"path": path, "bytes": len(data), "sha256": sha256(data)}
            for path, data in contents.items()
        ],
    }


def _check_replaceable(target: Path) -> None:
    check_whole_folder(target)
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise PqvError(f"{target}: cannot be written: there is something else than a bundle")


def _write(target: Path, contents: dict[str, bytes]) -> None:
    with whole_folder(target) as new:
        write_files(new, contents)
        for program in (RUNNER, SCRIPT):
            (new / program).chmod(0o755)
