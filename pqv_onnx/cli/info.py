"""``pqv info``: what is installed, which kernels this machine gets, and what a file is."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from pqv_onnx.cli.options import JsonOption, check_json, console, write_json
from pqv_onnx.graph.accuracy import StatedAccuracy, stated_accuracy
from pqv_onnx.graph.load import load_model
from pqv_onnx.graph.load import metadata as metadata_of
from pqv_onnx.ops.domain import DOMAIN, VERSION
from pqv_onnx.runtime.info import library_info
from pqv_onnx.runtime.library import get_library_path
from pqv_onnx.version import __version__

_PACKAGES = (
    "onnxruntime",
    "onnx",
    "numpy",
    "torch",
    "timm",
    "onnxscript",
)


def command(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="An exported .onnx file.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Show versions, the op library's path, and its ISA variants: available and chosen.

    Of a file, what it says about itself, too: model, precision, input, accuracy.

    Example: `pqv info`, or `pqv info m.onnx`
    """
    check_json(json_file, model)
    result: dict[str, Any] = {
        "pqv_onnx": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "op_domain": {"name": DOMAIN, "version": VERSION},
        "library": {"path": get_library_path(), **library_info()},
    }
    if model is not None:
        result["model"] = _describe(model)
    _show(result)
    write_json(json_file, result)


def _describe(path: Path) -> dict[str, Any]:
    entries = metadata_of(load_model(path))
    stated = stated_accuracy(entries, path)
    shown = ("model", "precision", "input", "input_size", "tool_version", "minimum_onnxruntime")
    described = {name: entries.get(f"pqv.{name}") for name in shown}
    return {"path": str(path), **described, "accuracy": stated.to_dict() if stated else None}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _show(result: dict[str, Any]) -> None:
    library = result["library"]
    console.print(f"pqv_onnx {result['pqv_onnx']}, Python {result['python']}, {result['machine']}")
    for name, version in result["packages"].items():
        console.print(f"  {name:24}{version or 'not installed'}")
    console.print(f"op domain   {DOMAIN}, version {VERSION}")
    console.print(f"op library  {library['path']}, version {library['version']}")
    console.print(f"  compiled in   {', '.join(library['variants'])}")
    console.print(f"  on this CPU   {', '.join(library['available'])}")
    console.print(f"  chosen        {library['selected']}")
    if model := result.get("model"):
        stated = StatedAccuracy(**model["accuracy"]) if model["accuracy"] else "not stated"
        console.print(f"{model['path']}")
        console.print(f"  model         {model['model']}, {model['precision']}")
        console.print(f"  input         {model['input']} {model['input_size']}")
        console.print(f"  top-1         {stated}")
