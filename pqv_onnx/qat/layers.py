"""Fake-quantized layers whose float forward imitates the integer ops of ``docs/ops.md``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        unit = (self.quantizer.step.squeeze(1) * step).detach()
        bias = self.bias + ((self.bias / unit).round() * unit - self.bias).detach()
        return F.linear(x, weight, bias)


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

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` [..., channels]."""
        shape = (self.weight.shape[0],)
        out: Tensor = self.quantizer(F.layer_norm(x, shape, self.weight, self.bias, self.eps))
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
        q, k, v = self.q_quantizer(q), self.k_quantizer(k), self.v_quantizer(v)
        attention = self.weights((q * self.logit_scale) @ k.transpose(-2, -1))
        context = self.quantizer(self.merge_heads(attention @ v))
        out: Tensor = self.proj(context, self.quantizer.step)
        return out

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

    def forward(self, x: Tensor) -> Tensor:
        """Activate ``x`` of any shape."""
        out: Tensor = self.quantizer(self.activation(self.input_quantizer(x)))
        return out


class QuantMlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int, bias: bool, spec: QuantSpec) -> None:
        """Create an MLP of zeros."""
        super().__init__()
        self.fc1 = QuantLinear(dim, hidden, spec.weight.bits, bias)
        self.act = QuantGelu(spec)
        self.fc2 = QuantLinear(hidden, dim, spec.weight.bits, bias)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Transform ``x`` [..., dim], multiples of ``step``."""
        out: Tensor = self.fc2(self.act(self.fc1(x, step)), self.act.step)
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

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``x`` [..., dim]."""
        return self.add_mlp(self.add_attention(x))

    def add_attention(self, x: Tensor) -> Tensor:
        """The first half of the block."""
        out: Tensor = self.residual1(x + self.ls1(self.attn(self.norm1(x), self.norm1.step)))
        return out

    def add_mlp(self, x: Tensor) -> Tensor:
        """The second half of the block."""
        out: Tensor = self.residual2(x + self.ls2(self.mlp(self.norm2(x), self.norm2.step)))
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

    def forward(self, images: Tensor) -> Tensor:
        """Embed ``images`` [B, in_chans, H, W] as [B, patches, dim]."""
        patches = to_patches(self.quantizer(images), self.patch_size)
        out: Tensor = self.proj(patches, self.quantizer.step)
        return out


class QuantMean(nn.Module):
    """Mean over the tokens with a quantized output."""

    def __init__(self, bits: int) -> None:
        """Create an uncalibrated pooling."""
        super().__init__()
        self.quantizer = ActivationQuantizer(bits)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        """Average ``x`` [B, T, C], whose channels' steps differ by ``scale`` [C], to [B, C]."""
        out: Tensor = self.quantizer(x.mean(1) / scale) * scale
        return out


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
