"""The distributions that the quantization schemes are made for, seen on some images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pqv_onnx.qat import QuantModel
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.layers import QuantActivation
from pqv_onnx.qat.quantizers import Quantizer, ResidualQuantizer
from pqv_onnx.qat.softmax import QuantSoftmax

ATTENTION_EDGES = np.arange(-16.0, 0.26, 0.25) - 0.125
"""Edges of the bins of log2(weight / largest weight of its row)."""
GELU_EDGES = np.arange(-0.25, 10.03125, 0.03125)

Real = NDArray[np.float64]


@dataclass
class Attention:
    """Attention weights before their quantization, each divided by the largest of its row.

    Attributes:
        counts: weights in each bin of ``ATTENTION_EDGES``; smaller ones are in the first.
        mass: share of all attention in each bin.
        log2: whether the model has log2 codes for them, not uniform ones.
    """

    counts: Real
    mass: Real
    log2: bool


@dataclass
class Gelu:
    """Outputs of a GELU before their quantization.

    Attributes:
        counts: values in each bin of ``GELU_EDGES``; larger ones are in the last.
        grid: the values that the codes of all groups of channels stand for, ascending.
        bits: of a code.
    """

    counts: Real
    grid: Real
    bits: int


@dataclass
class Residual:
    """The residual stream before its quantization.

    Attributes:
        ranges: largest magnitude of each channel.
        exponents: of each channel's step.
        step: the step of exponent 0.
        largest_code: the largest magnitude of a code.
    """

    ranges: Real
    exponents: NDArray[np.int8]
    step: float
    largest_code: int


@dataclass
class Observation:
    """What ``observe`` sees, by the module's name in the model's order."""

    images: int
    attention: dict[str, Attention]
    gelu: dict[str, Gelu]
    residual: dict[str, Residual]


def observe(
    model: QuantModel,
    inputs: Iterable[Tensor],
    progress: Callable[[int], None] = lambda images: None,
) -> Observation:
    """Run a calibrated model, and look at what enters its softmaxes and quantizers.

    Args:
        model: the model; it is left as it is.
        inputs: batches of normalised images [B, C, H, W].
        progress: called with the number of images of each batch when it is done.
    """
    seen = Observation(0, {}, {}, {})
    handles = [
        handle for name, module in model.named_modules() for handle in _watch(seen, name, module)
    ]
    try:
        with torch.inference_mode():
            for batch in inputs:
                model(batch)
                seen.images += len(batch)
                progress(len(batch))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _watch(seen: Observation, name: str, module: nn.Module) -> list[Any]:
    """Hooks of one module that add what they see to ``seen``."""
    if isinstance(module, QuantSoftmax):
        zeros = np.zeros(len(ATTENTION_EDGES) - 1)
        attention = seen.attention[name] = Attention(zeros, zeros.copy(), module.log2)
        return [module.register_forward_pre_hook(lambda _, x: _add_attention(attention, *x))]
    if isinstance(module, QuantActivation):
        quantizer, ratio = module.quantizer, module.quantizer.by_channel(module.ratio)
        counts, grid = np.zeros(len(GELU_EDGES) - 1), _grid(quantizer, ratio)
        gelu = seen.gelu[name] = Gelu(counts, grid, quantizer.bits)
        return [quantizer.register_forward_pre_hook(lambda _, x: _add_gelu(gelu, x[0] * ratio))]
    if isinstance(module, ResidualQuantizer):
        residual = seen.residual[name] = Residual(
            np.zeros(module.exponent.shape[0]),
            module.exponent.numpy(force=True),
            module.step.item(),
            module.hi,
        )
        return [module.register_forward_pre_hook(lambda _, x: _add_residual(residual, x[0]))]
    return []


def _add_attention(
    seen: Attention, logits: Sums, bias: Tensor | None = None, excluded: Tensor | None = None
) -> None:
    z = logits.real if bias is None else logits.real + bias
    if excluded is not None:
        z = z.masked_fill(excluded, -math.inf)
    relative = z - z.amax(-1, keepdim=True)
    share = torch.exp2(relative)
    share = share / share.sum(-1, keepdim=True)
    kept = torch.isfinite(relative)
    values, mass = relative[kept], share[kept]
    places = values.clamp_min(ATTENTION_EDGES[0]).cpu().numpy()
    seen.counts += np.histogram(places, ATTENTION_EDGES)[0]
    seen.mass += np.histogram(places, ATTENTION_EDGES, weights=mass.cpu().numpy())[0]


def _add_gelu(seen: Gelu, x: Tensor) -> None:
    values = x.clamp(float(GELU_EDGES[0]), float(GELU_EDGES[-1])).cpu().numpy()
    seen.counts += np.histogram(values, GELU_EDGES)[0]


def _add_residual(seen: Residual, x: Tensor) -> None:
    ranges = x.abs().reshape(-1, x.shape[-1]).amax(0)
    np.maximum(seen.ranges, ranges.cpu().double().numpy(), out=seen.ranges)


def _grid(quantizer: Quantizer, ratio: Tensor) -> Real:
    """What the codes of a GELU's quantizer stand for, in channels of these ratios."""
    lowest = torch.as_tensor(quantizer.bounds[0], device=ratio.device)
    groups = torch.stack([lowest.expand_as(ratio), quantizer.step * ratio]).unique(dim=1)
    codes = torch.arange(2**quantizer.bits, device=ratio.device)
    values = (codes[:, None] + groups[0]) * groups[1]
    grid: Real = values.detach().unique().double().cpu().numpy()
    return grid
