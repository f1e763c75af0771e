"""Training of quantized models with timm's data pipeline, on one process or many."""

from __future__ import annotations

from pqv_onnx.train.recipe import Recipe, load_recipe

__all__ = ["Recipe", "load_recipe"]
