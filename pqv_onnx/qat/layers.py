"""Fake-quantized layers, which compute on codes as the integer ops of ``docs/ops.md`` do."""

from __future__ import annotations

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
from pqv_onnx.qat.quantizers import (
    GELU_FLAT,
    GELU_MINIMUM,
    ActivationQuantizer,
    AsymmetricQuantizer,
    Quantizer,
    WeightQuantizer,
)
from pqv_onnx.spec import QuantSpec, TensorSpec

_CONSTANT_LIMIT = 127


class QuantLinear(nn.Module):
    """A linear layer with quantized weights; its caller quantizes input and output."""

    def __init__(self, in_features: int, out_features: int, bits: int, bias: bool) -> None:
        """Create a layer of zeros."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.quantizer = WeightQuantizer(bits, out_features)

    def set_bits(self, bits: int) -> None:
        """Give the weights other bits; their new steps are not calibrated."""
        self.quantizer = WeightQuantizer(bits, self.weight.shape[0])

    def forward(self, x: Tensor, step: Tensor) -> Sums:
        """Multiply ``x`` [..., in_features], multiples of ``step``, by the quantized weights."""
        unit = self.unit(step)
        if not exact.rounds():
            real = F.linear(x, self.weight, self.bias)
            return Sums(real, real, unit)
        weight = self.quantizer(self.weight)
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
        halves = zip(x.chunk(2, 1), self.quantizer(self.weight).chunk(2, 1), strict=True)
        assert self.bias is not None
        bias = torch.stack([self.bias + self.difference, self.bias - self.difference])
        return torch.stack([F.linear(own, 2 * weight) for own, weight in halves]) + bias[:, None]


class QuantLayerNorm(nn.Module):
    """LayerNorm over the last axis with a quantized output."""

    def __init__(self, channels: int, eps: float, quantizer: Quantizer) -> None:
        """Create a LayerNorm with weight 1, bias 0 and a quantizer for the output."""
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.quantizer = quantizer

    @property
    def step(self) -> Tensor:
        """The step of the output."""
        return self.quantizer.step

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Normalise ``x`` [..., channels], multiples of ``step``."""
        op = partial(exact.layer_norm, x, self.weight, self.bias, self.eps, step)
        real = F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        out: Tensor = self.quantizer(real, op)
        return out


class LayerScale(nn.Module):
    """A learned factor per channel; folds into the projection's output scale."""

    def __init__(self, channels: int) -> None:
        """Create factors of 1."""
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x`` [..., channels]."""
        return x * self.gamma


class QuantGelu(nn.Module):
    """GELU of an 8-bit input, quantized: a 256-entry table in the integer model.

    The asymmetric scheme has no codes for what a GELU does not give (PackQViT, section 3.2).
    """

    def __init__(self, spec: QuantSpec) -> None:
        """Create uncalibrated quantizers for input and output."""
        super().__init__()
        self.input_quantizer = _gelu_quantizer(spec.pre_gelu, GELU_FLAT)
        self.quantizer = _gelu_quantizer(spec.gelu, GELU_MINIMUM)

    @property
    def step(self) -> Tensor:
        """The step of the output."""
        return self.quantizer.step

    def forward(self, sums: Sums) -> Tensor:
        """Activate what a matmul has added up, [..., channels]."""

        def shifted(step: Tensor) -> Tensor:
            codes = sums.codes + exact.integers(self.input_offset(sums.unit), sums.codes)
            return sums._replace(codes=codes).in_steps(step) - self.input_quantizer.zero_point

        def looked_up(_step: Tensor) -> Tensor:
            codes = exact.to_codes(x, self.input_quantizer.step)
            return self._table()[codes.long() - self.input_quantizer.bounds[0]]

        x = self.input_quantizer(sums.real, shifted)
        out: Tensor = self.quantizer(F.gelu(x), looked_up)
        return out

    def input_offset(self, unit: Tensor) -> NDArray[np.int32]:
        """What the bias of the layer before has to add for the zero point of the input."""
        offset = self.input_quantizer.zero_point * self.input_quantizer.step
        return fixed_point.matmul_bias(exact.array(offset / unit))

    def _table(self) -> Tensor:
        """The output in steps for each code of the input, float32 [256]."""
        lo, hi = self.input_quantizer.bounds
        codes = torch.arange(lo, hi + 1, dtype=torch.float64, device=self.step.device)
        return (F.gelu(codes * self.input_quantizer.step) / self.step).detach().float()

    def table(self) -> NDArray[np.int8]:
        """IntGELU's table: the stored output code for each stored input code, int8 [256]."""
        codes = self.quantizer.narrow(self._table()) + self.quantizer.zero_point
        found: NDArray[np.int8] = codes.to(torch.int8).cpu().numpy()
        return found


def _gelu_quantizer(spec: TensorSpec, depth: float) -> Quantizer:
    if spec.scheme == "asymmetric":
        return AsymmetricQuantizer(spec.bits, depth)
    return ActivationQuantizer(spec.bits)


class QuantPatchEmbed(nn.Module):
    """Patch embedding as one matmul over 8-bit images."""

    def __init__(
        self, patch_size: tuple[int, int], in_chans: int, dim: int, spec: QuantSpec
    ) -> None:
        """Create an embedding of zeros."""
        super().__init__()
        self.patch_size = patch_size
        self.quantizer = ActivationQuantizer(spec.image.bits)
        features = in_chans * patch_size[0] * patch_size[1]
        self.proj = QuantLinear(features, dim, spec.patch_weight.bits, bias=True)

    def embed(self, images: Tensor) -> Sums:
        """Embed ``images`` [B, in_chans, H, W] as [B, patches, dim], not narrowed."""
        patches = to_patches(self.quantizer(images), self.patch_size)
        out: Sums = self.proj(patches, self.quantizer.step)
        return out


class QuantMean(nn.Module):
    """Mean over the tokens with a quantized output."""

    def __init__(self, bits: int) -> None:
        """Create an uncalibrated pooling."""
        super().__init__()
        self.quantizer = ActivationQuantizer(bits)

    def forward(self, x: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        """Average ``x`` [B, T, C], multiples of ``step * scale`` [C], to [B, C]."""
        x = x / scale
        ones = torch.ones_like(x[:, None, :, 0])

        def op(out_step: Tensor) -> Tensor:
            return exact.weighted_mean(ones, x, step, out_step).squeeze(1)

        out: Tensor = self.quantizer(x.mean(1), op)
        return out * scale


def to_patches(images: Tensor, patch_size: tuple[int, int]) -> Tensor:
    """Cut [B, C, H, W] into rows [B, patches, C * ph * pw], in a convolution's order."""
    _, c, h, w = images.shape
    ph, pw = patch_size
    grid = images.reshape(-1, c, h // ph, ph, w // pw, pw).permute(0, 2, 4, 1, 3, 5)
    return grid.reshape(-1, (h // ph) * (w // pw), c * ph * pw)


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
