"""Initial steps and residual exponents from a few images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.quantizers import Quantizer, ResidualQuantizer

_LARGEST_RATIO = 2.0
"""Residual step in / residual step out; the op's limit is 4, the rest is room for training."""


@torch.no_grad()
def calibrate(model: QuantModel, images: Tensor | Iterable[Tensor]) -> None:
    """Choose every step and residual exponent of ``model`` in one forward pass.

    Each quantizer sees what the calibrated layers before it produce, and takes the step of
    least squared error. A few hundred images are plenty.

    Args:
        model: a fake-quantized model; its quantization state is overwritten.
        images: normalised images, float [B, C, H, W], or batches of them, all of which are
            held in memory at once.

    Raises:
        PqvError: there are no images, their shape is wrong, or a tensor is not finite.
    """
    batches = [images] if isinstance(images, Tensor) else list(images)
    if not batches or not sum(batch.shape[0] for batch in batches):
        raise PqvError("calibration: found no images, expected at least one")
    data = torch.cat(batches)
    geometry = model.config.geometry
    expected = (geometry.in_chans, *geometry.img_size)
    if tuple(data.shape[1:]) != expected:
        raise PqvError(
            f"calibration: images have shape {list(data.shape)}, expected [B, "
            f"{', '.join(map(str, expected))}]"
        )
    quantizers = [module for module in model.modules() if isinstance(module, Quantizer)]
    for quantizer in quantizers:
        quantizer.calibrating = True
    try:
        model(data)
    finally:
        for quantizer in quantizers:
            quantizer.calibrating = False
    for stream in model.residual_streams():
        _limit_ratios(stream)
    check_calibrated(model)


def check_calibrated(model: QuantModel) -> None:
    """Raise PqvError naming a quantizer whose step was never set, or was lost in training."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            step = module.step
            if not bool(((step > 0) & torch.isfinite(step)).all()):
                raise PqvError(f"{name} has no positive step: calibrate the model first")


def _limit_ratios(stream: list[ResidualQuantizer]) -> None:
    """Coarsen residual steps that fall too fast for the op's ratio between two of them."""
    for before, after in zip(stream, stream[1:], strict=False):
        smallest = before.channel_step / _LARGEST_RATIO
        exponent = (smallest / after.step).log2().ceil().clamp(0, after.max_exponent)
        after.exponent.copy_(torch.maximum(after.exponent, exponent.to(torch.int8)))
        after.set_step(torch.maximum(after.step, (smallest / 2.0**after.exponent).amax()))
