"""How far a quantized model has moved from the float model, part by part."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.model import QuantModel

_CHUNK = 8
"""Images in one forward pass."""


def decibels(signal: float, noise: float) -> float:
    """The ratio of two sums of squares in dB: infinite without noise, -infinite without signal."""
    if not noise:
        return math.inf
    ratio = signal / noise
    return 10 * math.log10(ratio) if ratio > 0 else ratio - math.inf  # NaN stays NaN


@torch.inference_mode()
def segment_sqnr(model: QuantModel, reference: QuantModel, images: Tensor) -> dict[str, float]:
    """Signal to quantization noise ratio behind each segment of a model.

    Each segment reads what the quantized segments before it give, as when the model runs.

    Args:
        model: the calibrated model, in evaluation mode.
        reference: of the same spec, just converted from the float model; it is run in float.
        images: normalised, [B, C, H, W].

    Returns:
        10 log10(sum t^2 / sum (t - y)^2) in dB by the segment's name, with the float outputs t and
        the quantized ones y; infinite where they are equal.
    """
    quantized, floats = list(images.split(_CHUNK)), list(images.split(_CHUNK))
    found: dict[str, float] = {}
    for segment, target in zip(model.segments(), reference.segments(), strict=True):
        quantized = [segment(chunk) for chunk in quantized]
        with full_precision():
            floats = [target(chunk) for chunk in floats]
        pairs = [(t.double(), y.double()) for t, y in zip(floats, quantized, strict=True)]
        signal = sum(t.square().sum().item() for t, _ in pairs)
        noise = sum((t - y).square().sum().item() for t, y in pairs)
        found[segment.name] = decibels(signal, noise)
    return found
