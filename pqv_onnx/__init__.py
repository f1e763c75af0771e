"""Quantized Vision Transformers as integer-only ONNX graphs, and the kernels that run them.

Importing this package needs no torch; ``pqv_onnx.qat``, ``pqv_onnx.integer`` and
``pqv_onnx.graph.export`` do.
"""

from __future__ import annotations

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.library import get_library_path
from pqv_onnx.runtime.session import InferenceSession
from pqv_onnx.version import __version__

__all__ = ["InferenceSession", "PqvError", "__version__", "get_library_path"]
