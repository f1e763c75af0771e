"""Initial steps and residual exponents from a few images."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.quantizers import Quantizer, ResidualQuantizer
from pqv_onnx.qat.step_search import Observed

_LARGEST_RATIO = 2.0
"""Residual step in / residual step out; the op's limit is 4, the rest is room for training."""
_CHUNK = 8
"""Images in one forward pass: activations of a base model take some 100 MB."""


@torch.no_grad()
def calibrate(model: QuantModel, images: Tensor | Iterable[Tensor]) -> None:
    """Choose every step and residual exponent of ``model``, one quantizer after the other.

    Each quantizer sees what the calibrated layers before it produce for all images, and takes
    the step of least squared error. A few hundred images are plenty.

    The model is run segment by segment (``QuantModel.segments``), a few images at a time, up to
    the first quantizer without a step; a segment is run again for each of its quantizers. So
    memory holds the images, one tensor between two segments for each of them, and the
    activations of ``_CHUNK`` images in one segment. How ``images`` are split into batches does
    not change a bit of the result.

    Args:
        model: a fake-quantized model; its quantization state is overwritten.
        images: normalised images, float [B, C, H, W], or batches of them.

    Raises:
        PqvError: there are no images, their shape is wrong, or a tensor is not finite.
    """
    chunks = _chunks(model, images)
    _Calibration(model, sum(len(chunk) for chunk in chunks)).run(chunks)
    check_calibrated(model)


def check_calibrated(model: QuantModel) -> None:
    """Raise PqvError naming a quantizer whose step was never set, or was lost in training."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            step = module.step
            if not bool(((step > 0) & torch.isfinite(step)).all()):
                raise PqvError(f"{name} has no positive step: calibrate the model first")


def _chunks(model: QuantModel, images: Tensor | Iterable[Tensor]) -> list[Tensor]:
    batches = [images] if isinstance(images, Tensor) else list(images)
    if not sum(batch.shape[0] for batch in batches):
        raise PqvError("calibration: found no images, expected at least one")
    data = torch.cat(batches)
    geometry = model.config.geometry
    expected = (geometry.in_chans, *geometry.img_size)
    if tuple(data.shape[1:]) != expected:
        raise PqvError(
            f"calibration: images have shape {list(data.shape)}, expected [B, "
            f"{', '.join(map(str, expected))}]"
        )
    return list(data.split(_CHUNK))


class _Stop(Exception):
    """A forward pass has come to a quantizer without a step."""

    def __init__(self, quantizer: Quantizer, x: Tensor) -> None:
        super().__init__()
        self.quantizer, self.input = quantizer, x


def _stop(quantizer: Quantizer, x: Tensor) -> None:
    raise _Stop(quantizer, x)


class _Calibration:
    """The quantizers of a model that have no step yet."""

    def __init__(self, model: QuantModel, images: int) -> None:
        self.segments = model.segments()
        self.images = images
        self.before: dict[Quantizer, ResidualQuantizer] = {}
        for stream in model.residual_streams():
            self.before |= dict(zip(stream[1:], stream, strict=False))
        weights: set[Quantizer] = set()
        for module in model.modules():
            if isinstance(module, QuantLinear):
                module.quantizer.calibrate(module.weight)
                weights.add(module.quantizer)
        quantizers = [module for module in model.modules() if isinstance(module, Quantizer)]
        self.waiting = [quantizer for quantizer in quantizers if quantizer not in weights]

    def run(self, chunks: list[Tensor]) -> None:
        """Calibrate all quantizers; ``chunks`` are the images, and are overwritten."""
        for quantizer in self.waiting:
            quantizer.observer = _stop
        try:
            for segment in self.segments:
                while self._calibrate_next(segment, chunks):
                    pass
        finally:
            for quantizer in self.waiting:
                quantizer.observer = None

    def _calibrate_next(self, segment: Callable[[Tensor], Tensor], chunks: list[Tensor]) -> bool:
        """Calibrate the first waiting quantizer of a segment; if none waits, run the segment."""
        seen: list[Observed] = []
        for index, chunk in enumerate(chunks):
            try:
                chunks[index] = segment(chunk)
            except _Stop as stop:
                quantizer = stop.quantizer
                seen.append(quantizer.observe(stop.input, len(chunk) / self.images))
        if not seen:
            return False
        quantizer.choose(Observed.join(seen))
        if quantizer in self.before:
            assert isinstance(quantizer, ResidualQuantizer)
            _limit_ratio(self.before[quantizer], quantizer)
        quantizer.observer = None
        return True


def _limit_ratio(before: ResidualQuantizer, after: ResidualQuantizer) -> None:
    """Coarsen a residual step that falls too fast for the op's ratio between two of them."""
    smallest = before.channel_step / _LARGEST_RATIO
    exponent = (smallest / after.step).log2().ceil().clamp(0, after.max_exponent)
    after.exponent.copy_(torch.maximum(after.exponent, exponent.to(torch.int8)))
    after.set_step(torch.maximum(after.step, (smallest / 2.0**after.exponent).amax()))
