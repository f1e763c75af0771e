"""``pqv info``: what is installed and which kernels this machine gets."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from pqv_onnx.cli.options import JsonOption, check_json, console, write_json
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


def command(json_file: JsonOption = None) -> None:
    """Show versions, the op library's path, and its ISA variants: available and chosen.

    Example: `pqv info`
    """
    check_json(json_file)
    result = {
        "pqv_onnx": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "op_domain": {"name": DOMAIN, "version": VERSION},
        "library": {"path": get_library_path(), **library_info()},
    }
    _show(result)
    write_json(json_file, result)


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
