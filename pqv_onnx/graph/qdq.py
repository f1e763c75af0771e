"""A quantized model as float ops between QuantizeLinear and DequantizeLinear: QDQ.

What other runtimes and the compilers of NPUs read. Steps, codes of weights and clips are the
model's own; the arithmetic between them is the runtime's, so no two of them have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pqv_onnx.graph.translate import OPSET
from pqv_onnx.qat import QuantModel
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.handlers import Linear
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.qat.softmax import QuantSoftmax

_ATTENTION_STEP = 1 / 255
"""Attention weights lie in [0, 1]; QDQ has one step for all rows."""


def round_by_qdq(model: QuantModel) -> None:
    """Let a calibrated model in full precision round as QuantizeLinear does, once it is exported.

    Args:
        model: it is changed: use a copy. Only an exported file computes what it says then.
    """
    sources = {
        handler.linear: handler.source.quantizer
        for handler in model.handlers.values()
        if isinstance(handler, Linear)
    }
    for module in model.modules():
        if isinstance(module, QuantLinear):
            module.register_forward_hook(_linear(module, Common(sources[module]).moved))
        elif isinstance(module, QuantSoftmax):
            module.register_forward_hook(_softmax)
        elif isinstance(module, Quantizer) and not isinstance(module, WeightQuantizer):
            module.register_forward_hook(_activation(module))


class Common:
    """One step and zero point for all channels of a quantizer.

    Channels with their own are multiplied and moved before and behind: hardly a runtime rounds
    activations by channels, and OpenVINO 2026.4 takes the steps of such for those of another axis.

    Attributes:
        step: the smallest.
        zero_point: the largest.
        moved: what is added before; None if that is nothing.
    """

    def __init__(self, quantizer: Quantizer) -> None:
        """Take the steps of a calibrated quantizer."""
        step = quantizer.channel_step.float()
        zero_points = torch.as_tensor(quantizer.zero_point)
        self.step, self.zero_point = step.min(), int(zero_points.max())
        self._ratio = step / self.step if step.ndim else None
        self.moved = self.step * (zero_points - self.zero_point) if zero_points.ndim else None

    def before(self, x: Tensor) -> Tensor:
        """What is rounded in place of ``x``."""
        x = x if self._ratio is None else x * (1 / self._ratio)
        return x if self.moved is None else x + self.moved

    def behind(self, rounded: Tensor) -> Tensor:
        """What that stands for."""
        x = rounded if self.moved is None else rounded - self.moved
        return x if self._ratio is None else x * self._ratio


@torch.no_grad()
def _activation(quantizer: Quantizer) -> Callable[..., Tensor]:
    """What rounds as a quantizer does; what is moved stays so, as layers behind take it off."""
    common = Common(quantizer)
    lo, hi = (bound * quantizer.channel_step.float() for bound in quantizer.bounds)
    narrow = quantizer.bits < 8

    def hook(_module: nn.Module, _args: Any, x: Tensor) -> Tensor:
        if narrow:  # int8 has more codes
            x = x.clamp(lo, hi)
        step, zero_point = common.step, common.zero_point
        rounded = _round_trip(common.before(x), step, zero_point, torch.int8)
        return rounded if common.moved is not None else common.behind(rounded)

    return hook


@torch.no_grad()
def _linear(layer: QuantLinear, moved: Tensor | None) -> Callable[..., Sums]:
    """A matmul with dequantized weights, of an input that was moved, if so."""
    codes = layer.quantizer.codes(layer.codes_weight).T.to(torch.int8).contiguous()
    step = layer.quantizer.step.float().flatten()
    ratio = None if layer.source is None else layer.ratio().unsqueeze(1)
    bias = layer.bias
    if moved is not None:
        offset = (moved.double() @ (codes.double() * step)).float()
        bias = nn.Parameter(-offset if bias is None else bias - offset)

    def hook(_module: nn.Module, args: tuple[Tensor, Tensor], _sums: Sums) -> Sums:
        weight = _dequantize(codes, step, None)
        if ratio is not None:
            weight = weight / ratio
        real = args[0] @ weight
        if bias is not None:
            real = real + bias
        return Sums.in_full_precision(real)

    return hook


def _softmax(_module: nn.Module, _args: Any, found: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    step = torch.tensor(_ATTENTION_STEP)
    attention = _round_trip(found[1], step, 0, torch.uint8)
    return attention, attention


def _round_trip(x: Tensor, step: Tensor, zero_point: int, dtype: torch.dtype) -> Tensor:
    zero = torch.full_like(step, zero_point, dtype=dtype)
    codes = _symbolic("QuantizeLinear", x, step, zero, dtype)
    return _dequantize(codes, step, zero)


def _dequantize(codes: Tensor, step: Tensor, zero: Tensor | None) -> Tensor:
    """``codes`` times ``step``, one or one for each channel of the last axis."""
    return _symbolic("DequantizeLinear", codes, step, zero, torch.float32)


def _symbolic(op: str, x: Tensor, step: Tensor, zero: Tensor | None, dtype: torch.dtype) -> Tensor:
    found: Tensor = torch.onnx.ops.symbolic(
        op,
        (x, step, zero),
        {"axis": -1} if step.ndim else {},
        dtype=dtype,
        shape=x.shape,
        version=OPSET,
    )
    return found
