"""Bias correction: layers of a quantized model whose mean outputs are those of the float model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import QuantModel


@torch.no_grad()
def mean_outputs(
    model: QuantModel, float_model: nn.Module, batches: Iterable[Tensor]
) -> dict[QuantLinear, Tensor]:
    """What each layer of ``model`` with a bias would give on average in the float model.

    Args:
        model: made from ``float_model``.
        float_model: a timm model in evaluation mode.
        batches: normalised images, float [B, C, H, W].

    Returns:
        For each layer the mean of its output over images and tokens, [out_features].
    """
    sums: dict[str, Tensor] = {}
    rows: dict[str, int] = {}

    def add(name: str, x: Tensor) -> None:
        flat = x.reshape(-1, x.shape[-1])
        sums[name] = sums.get(name, 0.0) + flat.double().sum(0)
        rows[name] = rows.get(name, 0) + len(flat)

    handles = [
        module.register_forward_hook(_on_output(add, f"{name}.bias"))
        for name, module in float_model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    try:
        for batch in batches:
            float_model(batch)
    finally:
        for handle in handles:
            handle.remove()
    means = {name: total / rows[name] for name, total in sums.items()}
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, QuantLinear) and module.bias is not None:
            # Outputs add up over heads that became one as their biases do.
            keys, combine = model.float_source(f"{name}.bias", means)
            found[module] = combine(*(means[key] for key in keys)).float()
    return found


def _on_output(
    add: Callable[[str, Tensor], None], name: str
) -> Callable[[nn.Module, Any, Tensor], None]:
    def hook(module: nn.Module, _inputs: Any, out: Tensor) -> None:
        add(name, out.movedim(1, -1) if isinstance(module, nn.Conv2d) else out)

    return hook
