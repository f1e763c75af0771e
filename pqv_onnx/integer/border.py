"""The two border ops between float and integers: ONNX's QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.library.custom_op("pqv::quantize_linear", mutates_args=())
def quantize_linear(x: Tensor, scale: float) -> Tensor:
    """clamp(round_half_even(x / scale), -128, 127).

    Args:
        x: float32 tensor of any shape.
        scale: positive step, exact in float32.

    Returns:
        int8 tensor like ``x``.
    """
    step = torch.tensor(scale, dtype=torch.float32, device=x.device)
    return (x / step).round().clamp(-128, 127).to(torch.int8)


@quantize_linear.register_fake
def _quantize_linear_fake(x: Tensor, scale: float) -> Tensor:
    return torch.empty_like(x, dtype=torch.int8)


@torch.library.custom_op("pqv::dequantize_linear", mutates_args=())
def dequantize_linear(x: Tensor, scale: Tensor) -> Tensor:
    """x * scale, per channel of the last axis.

    Args:
        x: int32 or int8 tensor [..., N].
        scale: float32 [N].

    Returns:
        float32 tensor like ``x``.
    """
    return x.to(torch.float32) * scale


@dequantize_linear.register_fake
def _dequantize_linear_fake(x: Tensor, scale: Tensor) -> Tensor:
    return torch.empty_like(x, dtype=torch.float32)
