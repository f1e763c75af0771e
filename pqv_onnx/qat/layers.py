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
    ResidualQuantizer,
    WeightQuantizer,
    lsq,
)
from pqv_onnx.qat.softmax import QuantSoftmax
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


class QuantAttention(nn.Module):
    """Multi-head self-attention with quantized q, k, v, attention weights and context."""

    def __init__(
        self, dim: int, num_heads: int, qkv_bias: bool, proj_bias: bool, spec: QuantSpec
    ) -> None:
        """Create an attention layer of zeros."""
        super().__init__()
        self.num_heads = num_heads
        self.qkv = QuantLinear(dim, 3 * dim, spec.weight.bits, qkv_bias)
        self.q_quantizer = ActivationQuantizer(spec.qkv.bits)
        self.k_quantizer = ActivationQuantizer(spec.qkv.bits)
        self.v_quantizer = ActivationQuantizer(spec.qkv.bits)
        self.softmax = QuantSoftmax(spec.attention.scheme == "log2")
        self.quantizer = ActivationQuantizer(spec.context.bits)
        self.proj = QuantLinear(dim, dim, spec.weight.bits, proj_bias)

    @property
    def logit_scale(self) -> float:
        """1 / sqrt(head width) in log2 units: a softmax of base e becomes one of base 2."""
        return math.log2(math.e) / math.sqrt(self.proj.weight.shape[1] // self.num_heads)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Attend over ``x`` [B, T, dim], multiples of ``step``."""
        q, k, v = self.split_heads(self.qkv(x, step)).unbind(0)
        units = self.qkv.unit(step).reshape(3, self.num_heads, 1, -1)
        q = self.q_quantizer(q, partial(imitation.requantize, q, units[0]))
        k = self.k_quantizer(k, partial(imitation.requantize, k, units[1]))
        v = self.v_quantizer(v, partial(imitation.requantize, v, units[2]))
        attention = self.weights(self.logits(q, k))
        mean = attention @ v
        total = self.softmax.totals(attention)

        def op(step: Tensor) -> Tensor:
            exact = imitation.weighted_mean(mean, total, self.v_quantizer.step, step)
            return self.merge_heads(exact)

        context = self.quantizer(self.merge_heads(mean), op)
        out: Tensor = self.proj(context, self.quantizer.step)
        return out

    @property
    def unit(self) -> Tensor:
        """Step of the output's accumulators, [dim]."""
        return self.proj.unit(self.quantizer.step)

    def logits(self, q: Tensor, k: Tensor) -> Tensor:
        """Products of ``q`` and ``k`` [..., T, depth] in log2 units, [..., T, T]."""
        real = (q * self.logit_scale) @ k.transpose(-2, -1)
        unit = self.q_quantizer.step.double() * self.k_quantizer.step * self.logit_scale
        return imitation.straight_through(real, imitation.logits(real, unit))

    def split_heads(self, qkv: Tensor) -> Tensor:
        """[B, T, 3 * dim] to [3, B, heads, T, dim / heads]."""
        b, t, c = qkv.shape
        return qkv.reshape(b, t, 3, self.num_heads, c // 3 // self.num_heads).permute(2, 0, 3, 1, 4)

    def weights(self, logits: Tensor) -> Tensor:
        """Attention weights of ``logits`` [B, heads, T, T] in log2 units."""
        out: Tensor = self.softmax(logits)
        return out

    def merge_heads(self, context: Tensor) -> Tensor:
        """[B, heads, T, dim / heads] to [B, T, dim]."""
        return context.transpose(1, 2).flatten(2)


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


class QuantMlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int, bias: bool, spec: QuantSpec) -> None:
        """Create an MLP of zeros."""
        super().__init__()
        self.fc1 = QuantLinear(dim, hidden, spec.weight.bits, bias)
        self.act = QuantGelu(spec)
        self.fc2 = QuantLinear(hidden, dim, spec.weight.bits, bias)

    @property
    def unit(self) -> Tensor:
        """Step of the output's accumulators, [dim]."""
        return self.fc2.unit(self.act.step)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Transform ``x`` [..., dim], multiples of ``step``."""
        hidden = self.act(self.fc1(x, step), self.fc1.unit(step))
        out: Tensor = self.fc2(hidden, self.act.step)
        return out


class QuantBlock(nn.Module):
    """A pre-norm transformer block; the residual stream is requantized after each addition."""

    def __init__(
        self,
        attn: QuantAttention,
        mlp: QuantMlp,
        eps: float,
        spec: QuantSpec,
        layer_scale: bool = False,
    ) -> None:
        """Create an uncalibrated block around attention and MLP."""
        super().__init__()
        dim = attn.proj.weight.shape[0]
        self.norm1 = QuantLayerNorm(dim, eps, ActivationQuantizer(spec.norm.bits))
        self.attn = attn
        self.ls1 = LayerScale(dim) if layer_scale else nn.Identity()
        self.residual1 = ResidualQuantizer(spec.residual, dim)
        self.norm2 = QuantLayerNorm(dim, eps, ActivationQuantizer(spec.norm.bits))
        self.mlp = mlp
        self.ls2 = LayerScale(dim) if layer_scale else nn.Identity()
        self.residual2 = ResidualQuantizer(spec.residual, dim)

    def forward(self, x: Tensor, stream: ResidualQuantizer) -> Tensor:
        """Transform ``x`` [..., dim], which ``stream`` has quantized."""
        return self.add_mlp(self.add_attention(x, stream))

    def add_attention(self, x: Tensor, stream: ResidualQuantizer) -> Tensor:
        """The first half of the block."""
        branch = self.attn(self.norm1(x, stream.step), self.norm1.step)
        return _add(branch, self.attn.unit, self.ls1, x, stream, self.residual1)

    def add_mlp(self, x: Tensor) -> Tensor:
        """The second half of the block."""
        branch = self.mlp(self.norm2(x, self.residual1.step), self.norm2.step)
        return _add(branch, self.mlp.unit, self.ls2, x, self.residual1, self.residual2)


def _add(
    branch: Tensor,
    unit: Tensor,
    scale: nn.Module,
    residual: Tensor,
    before: ResidualQuantizer,
    after: ResidualQuantizer,
) -> Tensor:
    """The residual link: multiples of ``unit``, scaled, to what ``before`` has quantized."""
    branch, unit = scale(branch), scale(unit)

    def op(step: Tensor) -> Tensor:
        added = imitation.residual_link(residual, before.channel_step, step)
        return added.add_(imitation.requantize(branch, unit, step))

    out: Tensor = after(residual + branch, op)
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
