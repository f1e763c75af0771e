"""Quantized Vision Transformers as integer-only ONNX graphs, and the kernels that run them.

Importing this package needs no torch; what makes models does, and is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pqv_onnx.errors import PqvError
from pqv_onnx.version import __version__

if TYPE_CHECKING:
    from pqv_onnx.api import calibrate, evaluate, export, load, quantize
    from pqv_onnx.runtime.library import get_library_path
    from pqv_onnx.runtime.session import InferenceSession
    from pqv_onnx.verification.verify import verify_model as verify

__all__ = [
    "InferenceSession",
    "PqvError",
    "__version__",
    "calibrate",
    "evaluate",
    "export",
    "get_library_path",
    "load",
    "quantize",
    "verify",
]

_LATER = {
    "InferenceSession": ("pqv_onnx.runtime.session", "InferenceSession"),
    "get_library_path": ("pqv_onnx.runtime.library", "get_library_path"),
    "verify": ("pqv_onnx.verification", "verify_model"),
    "calibrate": ("pqv_onnx.api", "calibrate"),
    "evaluate": ("pqv_onnx.api", "evaluate"),
    "export": ("pqv_onnx.api", "export"),
    "load": ("pqv_onnx.api", "load"),
    "quantize": ("pqv_onnx.api", "quantize"),
}
"""Imported when they are first asked for: onnxruntime takes a while, torch longer."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own = _LATER[name]
    try:
        return getattr(importlib.import_module(module), own)
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith(__name__):
            raise
        from pqv_onnx.missing import missing_module

        raise PqvError(missing_module(error.name, f"{__name__}.{name}")) from error
