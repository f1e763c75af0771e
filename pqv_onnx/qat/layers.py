"""Fake-quantized layers whose float forward imitates the integer ops of ``docs/ops.md``."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pqv_onnx.qat import imitation
from pqv_onnx.qat.quantizers import (
    ActivationQuantizer,
    GeluQuantizer,
    Quantizer,
    WeightQuantizer,
    lsq,
)
from pqv_onnx.spec import GELU_CLIP, QuantSpec

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

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Multiply ``x`` [..., in_features], multiples of ``step``, by the quantized weights."""
        weight = self.quantizer(self.weight)
        if self.bias is None:
            return F.linear(x, weight)
        unit = self.unit(step)
        bias = ((self.bias / unit).round() * unit).to(self.bias.dtype)
        return F.linear(x, weight, imitation.straight_through(self.bias, bias))

    def unit(self, step: Tensor) -> Tensor:
        """Step of the accumulators, float64 [out_features], for an input of ``step``."""
        return (self.quantizer.step.squeeze(1).double() * step).detach()


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
        op = partial(imitation.layer_norm, x, self.weight, self.bias, self.eps, step)
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

    The asymmetric scheme clips it from above (PackQViT, section 3.2).
    """

    def __init__(self, spec: QuantSpec) -> None:
        """Create uncalibrated quantizers for input and output."""
        super().__init__()
        self.input_quantizer = ActivationQuantizer(spec.pre_gelu.bits)
        bits, asymmetric = spec.gelu.bits, spec.gelu.scheme == "asymmetric"
        self.clip = GELU_CLIP if asymmetric else math.inf
        self.quantizer: Quantizer = (
            GeluQuantizer(bits) if asymmetric else ActivationQuantizer(bits, narrow=False)
        )

    @property
    def step(self) -> Tensor:
        """The step of the output."""
        return self.quantizer.step

    def activation(self, x: Tensor) -> Tensor:
        """The exact GELU up to the clip."""
        return F.gelu(x).clamp(max=self.clip)

    def forward(self, x: Tensor, unit: Tensor) -> Tensor:
        """Activate ``x`` [..., channels], multiples of ``unit`` [channels]."""
        quantized = self.input_quantizer(x, partial(imitation.requantize, x, unit))
        out: Tensor = self.quantizer(self.activation(quantized))
        return out


class QuantPatchEmbed(nn.Module):
    """Patch embedding as one matmul over 8-bit images."""

    def __init__(
        self, patch_size: tuple[int, int], in_chans: int, dim: int, spec: QuantSpec
    ) -> None:
        """Create an embedding of zeros."""
        super().__init__()
        self.patch_size = patch_size
        self.quantizer = ActivationQuantizer(spec.image.bits, narrow=False)
        features = in_chans * patch_size[0] * patch_size[1]
        self.proj = QuantLinear(features, dim, spec.patch_weight.bits, bias=True)

    @property
    def unit(self) -> Tensor:
        """Step of the output's accumulators, [dim]."""
        return self.proj.unit(self.quantizer.step)

    def forward(self, images: Tensor) -> Tensor:
        """Embed ``images`` [B, in_chans, H, W] as [B, patches, dim], not quantized."""
        patches = to_patches(self.quantizer(images), self.patch_size)
        out: Tensor = self.proj(patches, self.quantizer.step)
        return out


class QuantMean(nn.Module):
    """Mean over the tokens with a quantized output."""

    def __init__(self, bits: int) -> None:
        """Create an uncalibrated pooling."""
        super().__init__()
        self.quantizer = ActivationQuantizer(bits)

    def forward(self, x: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        """Average ``x`` [B, T, C], multiples of ``step * scale`` [C], to [B, C]."""
        mean = x.mean(1) / scale
        total = torch.full_like(mean[:, :1], x.shape[1])
        out: Tensor = self.quantizer(mean, partial(imitation.weighted_mean, mean, total, step))
        return out * scale


def to_patches(images: Tensor, patch_size: tuple[int, int]) -> Tensor:
    """Cut [B, C, H, W] into rows [B, patches, C * ph * pw], in a convolution's order."""
    _, c, h, w = images.shape
    ph, pw = patch_size
    grid = images.reshape(-1, c, h // ph, ph, w // pw, pw).permute(0, 2, 4, 1, 3, 5)
    return grid.reshape(-1, (h // ph) * (w // pw), c * ph * pw)


def constant_step(constant: Tensor) -> Tensor:
    """Steps [C] of an int8 constant [..., C] that covers each channel's range."""
    ranges = constant.detach().abs().reshape(-1, constant.shape[-1]).amax(0)
    return (ranges / _CONSTANT_LIMIT).clamp_min(1e-8)


def quantize_constant(constant: Tensor) -> Tensor:
    """Round a constant [..., C] to int8 multiples of ``constant_step``."""
    return lsq(constant, constant_step(constant), -_CONSTANT_LIMIT, _CONSTANT_LIMIT)
