"""Quantized Vision Transformers as integer-only ONNX graphs, and the kernels that run them.

Importing this package needs no torch; ``pqv_onnx.qat``, ``pqv_onnx.integer`` and
``pqv_onnx.graph.export`` do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pqv_onnx.errors import PqvError
from pqv_onnx.version import __version__

if TYPE_CHECKING:
    from pqv_onnx.runtime.library import get_library_path
    from pqv_onnx.runtime.session import InferenceSession

__all__ = ["InferenceSession", "PqvError", "__version__", "get_library_path"]

_LATER = {
    "InferenceSession": "pqv_onnx.runtime.session",
    "get_library_path": "pqv_onnx.runtime.library",
}
"""Imported when they are first asked for: onnxruntime takes a while."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)
