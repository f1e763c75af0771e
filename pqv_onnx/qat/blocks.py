"""Attention, MLP and the residual links around them, fake-quantized."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from pqv_onnx.ops.arithmetic import sat16
from pqv_onnx.qat import exact
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.layers import LayerScale, QuantGelu, QuantLayerNorm, QuantLinear
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.quantizers import ActivationQuantizer, ResidualQuantizer
from pqv_onnx.qat.rotation import Stream
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

    def forward(self, x: Tensor, step: Tensor) -> Sums:
        """Attend over ``x`` [B, T, dim], multiples of ``step``."""
        q, k, v = (
            quantizer(part.real, part.in_steps)
            for quantizer, part in zip(self._quantizers(), self._parts(x, step), strict=True)
        )
        q_step, k_step, v_step = (quantizer.step for quantizer in self._quantizers())
        weights, attention = self.weights(exact.matmul(q, k, q_step, k_step, self.logit_scale))

        def op(out_step: Tensor) -> Tensor:
            return self.merge_heads(exact.weighted_mean(weights, v, v_step, out_step))

        context = self.quantizer(self.merge_heads(attention @ v), op)
        out: Sums = self.proj(context, self.quantizer.step)
        return out

    @property
    def logit_unit(self) -> Tensor:
        """Log2 units of a product of codes, float64 []."""
        return (self.q_quantizer.step * self.k_quantizer.step * self.logit_scale).detach()

    def _quantizers(self) -> tuple[ActivationQuantizer, ...]:
        return self.q_quantizer, self.k_quantizer, self.v_quantizer

    def _parts(self, x: Tensor, step: Tensor) -> Iterator[Sums]:
        """Queries, keys and values of each head, not narrowed."""
        qkv: Sums = self.qkv(x, step)
        units = qkv.unit.reshape(3, self.num_heads, 1, -1)
        parts = self.split_heads(qkv.real), self.split_heads(qkv.codes), units
        return (Sums(*part) for part in zip(*parts, strict=True))

    def split_heads(self, qkv: Tensor) -> Tensor:
        """[B, T, 3 * dim] to [3, B, heads, T, dim / heads]."""
        b, t, c = qkv.shape
        return qkv.reshape(b, t, 3, self.num_heads, c // 3 // self.num_heads).permute(2, 0, 3, 1, 4)

    def weights(self, logits: Sums) -> tuple[Tensor, Tensor]:
        """Attention weights of ``logits`` [B, heads, T, T] in log2 units: see ``QuantSoftmax``."""
        out: tuple[Tensor, Tensor] = self.softmax(logits)
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

    def forward(self, x: Tensor, step: Tensor) -> Sums:
        """Transform ``x`` [..., dim], multiples of ``step``."""
        hidden = self.act(self.fc1(x, step))
        out: Sums = self.fc2(hidden, self.act.step)
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

    def extend(self, stream: Stream) -> None:
        """Add to ``stream`` what reads it in this block and what writes to it."""
        stream.readers += [(self.norm1, self.attn.qkv), (self.norm2, self.mlp.fc1)]
        stream.writers += [(self.attn.proj, self.ls1), (self.mlp.fc2, self.ls2)]

    def halves(self, name: str, stream: ResidualQuantizer) -> list[Segment]:
        """The two halves of the block ``name`` on ``stream``."""
        attention = (self.norm1, self.attn, self.ls1, self.residual1)
        mlp = (self.norm2, self.mlp, self.ls2, self.residual2)
        return [
            Segment(f"{name}.attn", partial(self.add_attention, stream=stream), attention),
            Segment(f"{name}.mlp", self.add_mlp, mlp),
        ]

    def add_attention(self, x: Tensor, stream: ResidualQuantizer) -> Tensor:
        """The first half of the block."""
        branch = self.attn(self.norm1(x, stream.step), self.norm1.step)
        return _add(branch, self.ls1, x, stream, self.residual1)

    def add_mlp(self, x: Tensor) -> Tensor:
        """The second half of the block."""
        branch = self.mlp(self.norm2(x, self.residual1.step), self.norm2.step)
        return _add(branch, self.ls2, x, self.residual1, self.residual2)


def _add(
    branch: Sums,
    scale: nn.Module,
    residual: Tensor,
    before: ResidualQuantizer,
    after: ResidualQuantizer,
) -> Tensor:
    """The residual link: a branch, scaled, and what ``before`` has quantized."""

    def op(step: Tensor) -> Tensor:
        u = branch._replace(unit=scale(branch.unit)).requantized(step)
        codes = exact.to_codes(residual, before.channel_step)
        return exact.in_steps(sat16(u.add_(exact.residual_link(codes, before.channel_step, step))))

    out: Tensor = after(residual + scale(branch.real), op)
    return out
