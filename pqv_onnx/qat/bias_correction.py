"""Bias correction: layers of a quantized model whose mean outputs are those of the float model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pqv_onnx.qat.exact import Sums, full_precision
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import Segment


@torch.no_grad()
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

    def add(linear: QuantLinear, _inputs: Any, out: Sums) -> None:
        flat = out.real.reshape(-1, out.real.shape[-1])
        sums[linear] += flat.double().sum(0)
        rows[linear] += len(flat)

    handles = [
        module.register_forward_hook(add)
        for module in segment.submodules()
        if isinstance(module, QuantLinear) and module.bias is not None
    ]
    try:
        with full_precision():
            for batch in inputs:
                segment(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {linear: (total / rows[linear]).float() for linear, total in sums.items()}
