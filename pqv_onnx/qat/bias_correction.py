"""Bias correction: layers of a quantized model whose mean outputs are those of the float model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.watching import watch


def mean_outputs(segment: Segment, inputs: Iterable[Tensor]) -> dict[QuantLinear, Tensor]:
    """What each layer of ``segment`` with a bias gives on average in full precision.

    Args:
        segment: of a fake-quantized model.
        inputs: what the float model has in front of the segment, in batches.

    Returns:
        For each layer the mean of its output over images and tokens, [out_features].
    """
    sums: dict[QuantLinear, Any] = defaultdict(float)
    rows: dict[QuantLinear, int] = defaultdict(int)

    def add(linear: QuantLinear, out: Tensor) -> None:
        flat = out.reshape(-1, out.shape[-1])
        sums[linear] += flat.double().sum(0)
        rows[linear] += len(flat)

    layers = (module for module in segment.submodules() if isinstance(module, QuantLinear))
    watch(segment, [layer for layer in layers if layer.bias is not None], inputs, add)
    return {linear: (total / rows[linear]).float() for linear, total in sums.items()}
