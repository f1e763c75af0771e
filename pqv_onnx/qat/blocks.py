"""Attention, MLP and the residual links around them, fake-quantized."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor, nn

from pqv_onnx.qat import imitation
from pqv_onnx.qat.layers import LayerScale, QuantGelu, QuantLayerNorm, QuantLinear
from pqv_onnx.qat.quantizers import ActivationQuantizer, ResidualQuantizer
from pqv_onnx.qat.softmax import QuantSoftmax
from pqv_onnx.spec import QuantSpec


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
