"""Bias correction: layers of a quantized model whose mean outputs are those of the float model."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.watching import totals


def mean_outputs(segment: Segment, inputs: Iterable[Tensor]) -> dict[QuantLinear, Tensor]:
    """What each layer of ``segment`` with a bias gives on average in full precision.

    Args:
        segment: of a fake-quantized model.
        inputs: what the float model has in front of the segment, in batches.

    Returns:
        For each layer the mean of its output over images and tokens, [out_features].
    """

    def summed(_: QuantLinear, out: Tensor) -> tuple[Tensor, int]:
        flat = out.reshape(-1, out.shape[-1])
        return flat.double().sum(0), len(flat)

    layers = (module for module in segment.submodules() if isinstance(module, QuantLinear))
    found = totals(segment, [x for x in layers if x.bias is not None], inputs, summed)
    return {linear: (total / rows).float() for linear, (total, rows) in found.items()}
