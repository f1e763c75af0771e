"""The integer model in torch: what the exported graph computes, bit for bit."""

from __future__ import annotations

from pqv_onnx.integer.convert import convert_to_integer
from pqv_onnx.integer.model import IntegerModel

__all__ = ["IntegerModel", "convert_to_integer"]
