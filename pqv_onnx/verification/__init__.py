"""Bit-exactness of an exported model: every definition, every kernel, at every node."""

from __future__ import annotations

from pqv_onnx.verification.compare import Comparison, Difference
from pqv_onnx.verification.verify import Report, verify_model

__all__ = ["Comparison", "Difference", "Report", "verify_model"]
