"""Widening: steps of a function's outputs, chosen by what the segment gives.

Few of a GELU's outputs are far above the others, and massive activations are made of them (Sun et
al., 2024). With 4 bits the step of least squared error clips them, as there are so few; what is
behind them depends on them most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from pqv_onnx.qat.layers import QuantActivation
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.quantizers import Quantizer
from pqv_onnx.qat.step_search import MANY_CODES

_FACTORS = (1.2, 1.45, 1.75, 2.1, 2.5, 3.0)
_CHUNKS = 4
"""A factor is chosen by the images of so many, as each takes a pass of the segment."""


@torch.no_grad()
def widen(
    segment: Segment, inputs: Sequence[Tensor], targets: Sequence[Tensor], weights: Tensor
) -> None:
    """Multiply each step of a function's outputs by the factor that serves the segment most.

    Args:
        segment: calibrated; steps of 8 bits stay as they are.
        inputs: what the quantized segments before it give, in batches.
        targets: what the float segment gives for the float inputs, in batches.
        weights: what the squared error of each element of it counts.
    """
    pairs = list(zip(inputs, targets, strict=True))[:_CHUNKS]

    def error() -> float:
        errors = [((segment(x) - target).square() * weights).sum() for x, target in pairs]
        return sum(map(Tensor.item, errors))

    for quantizer in narrow(segment.submodules()):
        _widen(quantizer, error)


def narrow(modules: Iterable[nn.Module]) -> Iterator[Quantizer]:
    """The quantizers of what functions give whose search for a step may clip."""
    for module in modules:
        if isinstance(module, QuantActivation) and module.quantizer.hi < MANY_CODES:
            yield module.quantizer


def _widen(quantizer: Quantizer, error: Callable[[], float]) -> None:
    first = quantizer.log_step.clone()
    best, least = first, error()
    for factor in _FACTORS:
        wider = first + math.log(factor)
        quantizer.log_step.copy_(wider)
        if (found := error()) < least:
            best, least = wider, found
    quantizer.log_step.copy_(best)
