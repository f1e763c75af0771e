"""ONNX graphs: making them from integer modules, and looking into them.

``export_onnx`` needs torch and is imported on first use; the rest does not.
"""

from __future__ import annotations

from typing import Any

from pqv_onnx.graph.summary import inspect_model

__all__ = ["export_onnx", "inspect_model"]


def __getattr__(name: str) -> Any:
    if name == "export_onnx":
        from pqv_onnx.graph.export import export_onnx

        return export_onnx
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
