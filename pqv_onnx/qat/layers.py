"""Fake-quantized layers, which compute on codes as the integer ops of ``docs/ops.md`` do."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pqv_onnx.ops import fixed_point
from pqv_onnx.ops.arithmetic import exact_matmul
from pqv_onnx.qat import exact
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.quantizers import (
    GELU_FLAT,
    GELU_MINIMUM,
    ActivationQuantizer,
    AsymmetricQuantizer,
    GroupedQuantizer,
    Quantizer,
    WeightQuantizer,
)
from pqv_onnx.spec import TensorSpec
from pqv_onnx.trace.nodes import FUNCTIONS

_CONSTANT_LIMIT = 127
_DEPTHS = {
    "gelu": (GELU_MINIMUM, GELU_FLAT),
    "gelu_tanh": (0.17004, GELU_FLAT),
    "silu": (0.27846, 12.0),
    "hardswish": (0.375, 3.0),
    "relu": (0.0, 0.0),
    "relu6": (0.0, 0.0),
}
"""How far functions reach below zero, and below which input, negated, they are nearly zero."""


class QuantLinear(nn.Module):
    """A linear layer with quantized weights; its caller quantizes input and output.

    Attributes:
        source: the input's grid, if its channels have different steps: the weights take over
            their 2^exponent.
    """

    source: Grid | None = None

    def __init__(self, in_features: int, out_features: int, bits: int, bias: bool) -> None:
        """Create a layer of zeros."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.quantizer = WeightQuantizer(bits, out_features)

    def set_bits(self, bits: int) -> None:
        """Give the weights other bits; their new steps are not calibrated."""
        self.quantizer = WeightQuantizer(bits, self.weight.shape[0])

    @property
    def codes_weight(self) -> Tensor:
        """The weights for inputs in codes of one step, which are what is quantized."""
        return self.weight if self.source is None else self.weight * self.ratio()

    def ratio(self) -> Tensor:
        """2^exponent of each input, [in_features], if its channels have different steps."""
        assert self.source is not None and self.source.exponent is not None
        return torch.exp2(self.source.exponent.flatten().to(self.weight.dtype))

    def calibrate(self, initialization: str = "search") -> None:
        """Choose the steps of the weights."""
        self.quantizer.calibrate(self.codes_weight, initialization)

    @torch.no_grad()
    def settle(self) -> None:
        """Move every weight to the middle of its code, which stays the same."""
        weight = self.quantizer.codes(self.codes_weight) * self.quantizer.step
        self.weight.copy_(weight if self.source is None else weight / self.ratio())

    def forward(self, x: Tensor, step: Tensor) -> Sums:
        """Multiply ``x`` [..., in_features], multiples of ``step``, by the quantized weights."""
        if not exact.rounds():
            return Sums.in_full_precision(F.linear(x, self.weight, self.bias))
        unit = self.unit(step)
        if not exact.rounds_weights():
            return Sums.nearest(self._real(x), unit)
        if self.source is not None:
            x = x / self.ratio()
        weight = self.quantizer(self.codes_weight)
        # An input has up to 8 bits besides its sign, a weight one less than its own.
        largest = 2 ** (self.quantizer.bits + 7)
        rows = exact.to_codes(weight, self.quantizer.step)
        codes = exact_matmul(exact.to_codes(x, step), rows.T, largest)
        if self.bias is not None:
            codes += exact.integers(self.bias_codes(step), codes)
        sums = exact.product(x, weight.T, codes, unit)
        if self.bias is None:
            return sums
        return sums._replace(real=exact.straight_through(sums.real + self.bias, sums.real))

    def _real(self, x: Tensor) -> Tensor:
        """The product with the weights as they are; mixed precision would change its codes."""
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight, self.bias)

    def unit(self, step: Tensor) -> Tensor:
        """Step of the accumulators, float64 [out_features], for an input of ``step``."""
        return (self.quantizer.step.squeeze(1) * step).detach()

    def bias_codes(self, step: Tensor) -> NDArray[np.int32]:
        """The bias in accumulators, [out_features], for an input of ``step``."""
        assert self.bias is not None
        return fixed_point.matmul_bias(exact.array(self.bias.double() / self.unit(step)))


class QuantDistilledHead(QuantLinear):
    """The heads of class and distillation token as one layer, whose logits are their mean.

    Half of each head's weights lie side by side, as the tokens' features do in the input.

    Attributes:
        difference: half the difference of the two biases; the mean does not depend on it.
    """

    def __init__(self, features: int, classes: int, bits: int) -> None:
        """Create heads of zeros on ``features`` of both tokens together."""
        super().__init__(features, classes, bits, bias=True)
        self.difference = nn.Parameter(torch.zeros(classes), requires_grad=False)

    def apart(self, x: Tensor) -> Tensor:
        """The logits of each head, [2, B, classes], of ``x`` [B, features]."""
        weights = self.quantizer(self.weight) if exact.rounds_weights() else self.weight
        halves = zip(x.chunk(2, 1), weights.chunk(2, 1), strict=True)
        assert self.bias is not None
        bias = torch.stack([self.bias + self.difference, self.bias - self.difference])
        return torch.stack([F.linear(own, 2 * weight) for own, weight in halves]) + bias[:, None]


class QuantNorm(nn.Module):
    """LayerNorm, RMSNorm or L2 normalisation over the last axis with a quantized output.

    Attributes:
        of: ``layer``, ``rms`` or ``l2``.
        weight: [C]; of L2 normalisation 1 / sqrt(C), which makes it of an RMSNorm.
        bias: [C], or None.
        input_quantizer: of sums that are normalised at once; None for what is quantized already.
    """

    __call__: Callable[..., Tensor]

    def __init__(
        self,
        of: str,
        channels: int,
        eps: float,
        quantizer: Quantizer,
        input_quantizer: Quantizer | None = None,
    ) -> None:
        """Create a norm with a quantizer for the output."""
        super().__init__()
        self.of, self.eps = of, eps
        if of == "l2":
            # On the CPU: a model is also made on the meta device, and this is not loaded later.
            weight = torch.full((channels,), channels**-0.5, device="cpu")
            self.register_buffer("weight", weight, persistent=False)
        else:
            self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if of == "layer" else None
        self.quantizer = quantizer
        self.input_quantizer = input_quantizer

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Normalise ``x`` [..., channels], multiples of ``step``."""
        bias = self.held_bias()
        op = partial(exact.norm, x, self.weight, bias, self.eps, step)
        if bias is None:
            real = F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        else:
            real = F.layer_norm(x, self.weight.shape, self.weight, bias, self.eps)
        return self.quantizer(real, op)

    def held_bias(self) -> Tensor | None:
        """The bias, as far as an IntLayerNorm holds it: some 512 steps of the output.

        Training may take it beyond, or the step down. The gradient of what is cut off goes to the
        step.
        """
        if self.bias is None or not exact.rounds():
            return self.bias
        step = self.quantizer.channel_step.nan_to_num(nan=math.inf)  # if none is chosen yet
        lowest, highest = fixed_point.LAYER_NORM_BIASES
        return self.bias.clamp(lowest * step, highest * step).to(self.bias.dtype)


class QuantActivation(nn.Module):
    """A function of an 8-bit input, quantized: tables of 256 entries in the integer model.

    The asymmetric scheme has no codes for what the function does not give (PackQViT,
    section 3.2), nor for inputs of which it is zero. In groups of channels, it gives the function
    over a ratio of each group: what reads it has weights to match.
    """

    __call__: Callable[..., Tensor]

    def __init__(
        self, function: str, factor: float, read: TensorSpec, written: TensorSpec, channels: int
    ) -> None:
        """Create uncalibrated quantizers for input and output of function(factor x) / factor."""
        super().__init__()
        self.function, self.factor = FUNCTIONS[function], factor
        lowest, flat = _DEPTHS.get(function, (None, None))
        self.input_quantizer = _quantizer(read, flat, factor, channels)
        self.quantizer = _quantizer(written, lowest, factor, channels)

    @property
    def ratio(self) -> Tensor:
        """What the outputs of each group of channels are divided by, float32 [groups]."""
        if isinstance(self.quantizer, GroupedQuantizer):
            return self.quantizer.ratio
        return torch.ones(1, device=self.quantizer.log_step.device)

    def exact(self, x: Tensor) -> Tensor:
        """The function of real values, before they are divided."""
        return self.function(x * self.factor) / self.factor

    def forward(self, sums: Sums) -> Tensor:
        """Activate what a matmul has added up, [..., channels]."""

        def shifted(step: Tensor) -> Tensor:
            codes = sums.codes + exact.integers(self.input_offset(sums.unit), sums.codes)
            return sums._replace(codes=codes).in_steps(step) - self.input_quantizer.zero_point

        def looked_up(_step: Tensor) -> Tensor:
            codes = exact.to_codes(x, self.input_quantizer.step)
            index = codes.long() - self.input_quantizer.bounds[0]
            tables = self._tables()
            groups = torch.arange(tables.shape[1], device=index.device)
            return tables.take(index * len(groups) + self.quantizer.by_channel(groups))

        x = self.input_quantizer(sums.real, shifted)
        y = self.exact(x)
        if isinstance(self.quantizer, GroupedQuantizer):
            y = y / self.quantizer.by_channel(self.ratio)
        return self.quantizer(y, looked_up)

    def input_offset(self, unit: Tensor) -> NDArray[np.int32]:
        """What the bias of the layer before has to add for the zero point of the input."""
        offset = self.input_quantizer.zero_point * self.input_quantizer.step
        return fixed_point.matmul_bias(exact.array(offset / unit))

    def _tables(self) -> Tensor:
        """The output in steps for each code of the input, float32 [256, groups]."""
        step, steps = self.input_quantizer.step, self.quantizer.step * self.ratio
        lo, hi = self.input_quantizer.bounds
        codes = torch.arange(lo, hi + 1, dtype=torch.float64, device=step.device)
        return (self.exact(codes * step)[:, None] / steps).detach().float()

    def tables(self) -> NDArray[np.int8]:
        """IntGELU's: the stored output code for each stored input code, int8 [groups, 256]."""
        tables = self._tables()
        by_channel = self.quantizer.by_channel(tables)
        codes = (by_channel + 0.5).floor_().clamp_(*self.quantizer.bounds)
        codes += self.quantizer.zero_point
        groups = codes[:, :: by_channel.shape[1] // tables.shape[1]].T.to(torch.int8)
        found: NDArray[np.int8] = groups.contiguous().cpu().numpy()
        return found


def _quantizer(spec: TensorSpec, depth: float | None, factor: float, channels: int) -> Quantizer:
    if depth is None or spec.scheme not in ("grouped", "asymmetric"):
        return ActivationQuantizer(spec.bits)
    if spec.scheme == "grouped":
        return GroupedQuantizer(spec.bits, depth / factor, channels)
    return AsymmetricQuantizer(spec.bits, depth / factor)


class Constant(nn.Module):
    """A constant of the graph.

    Attributes:
        value: its real value, a parameter if it is trained.
    """

    value: Tensor

    def __init__(self, shape: tuple[int, ...], trained: bool) -> None:
        """Create a constant of zeros."""
        super().__init__()
        if trained:
            self.value = nn.Parameter(torch.zeros(shape))
        else:
            self.register_buffer("value", torch.zeros(shape))


def to_patches(images: Tensor, patch_size: tuple[int, int]) -> Tensor:
    """Cut [B, C, H, W] into [B, rows, columns, C * ph * pw], in a convolution's order."""
    _, c, h, w = images.shape
    ph, pw = patch_size
    grid = images.reshape(-1, c, h // ph, ph, w // pw, pw).permute(0, 2, 4, 1, 3, 5)
    return grid.reshape(-1, h // ph, w // pw, c * ph * pw)


class QuantizedConstant(NamedTuple):
    """An int8 constant [..., C] whose steps cover each channel's range.

    Attributes:
        real: codes times steps, float32, with the gradient of the constant.
        codes: int64.
        channel_step: float64 [C].
    """

    real: Tensor
    codes: Tensor
    channel_step: Tensor


def quantize_constant(constant: Tensor) -> QuantizedConstant:
    """Round a constant [..., C]."""
    exact_constant = constant.detach().double()
    ranges = exact_constant.abs().reshape(-1, constant.shape[-1]).amax(0)
    step = (ranges / _CONSTANT_LIMIT).clamp_min(1e-8)
    codes = (exact_constant / step).round()
    real = constant
    if exact.rounds():
        real = exact.straight_through(constant, (codes * step).to(constant.dtype))
    return QuantizedConstant(real, codes.long(), step)
