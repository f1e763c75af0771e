"""The parts of a transformer block that the integer backbones share."""

from __future__ import annotations

from torch import Tensor, nn

from pqv_onnx.integer.layers import (
    Gelu,
    LayerNorm,
    MatMul,
    PackedMatMul,
    PackedMatMulAdd,
    Softmax2n,
    WeightedMean,
)


class IntegerAttention(nn.Module):
    """Multi-head self-attention with the residual link in its projection."""

    def __init__(
        self,
        num_heads: int,
        qkv: PackedMatMul,
        softmax: Softmax2n,
        mean: WeightedMean,
        proj: PackedMatMulAdd,
    ) -> None:
        """Take the ops in their order."""
        super().__init__()
        self.num_heads = num_heads
        self.qkv = qkv
        self.matmul = MatMul()
        self.softmax = softmax
        self.mean = mean
        self.proj = proj

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Attend over int8 ``x`` [B, T, C] and add int8 ``residual`` [B, T, C]."""
        q, k, v = self.split_heads(self.qkv(x)).unbind(0)
        context = self.mean(self.softmax(self.matmul(q, k)), v)
        out: Tensor = self.proj(self.merge_heads(context), residual)
        return out

    def split_heads(self, qkv: Tensor) -> Tensor:
        """[B, T, 3 * C] to [3, B, heads, T, C / heads]."""
        _, t, c = qkv.shape
        heads = qkv.reshape(-1, t, 3, self.num_heads, c // 3 // self.num_heads)
        return heads.permute(2, 0, 3, 1, 4)

    def merge_heads(self, context: Tensor) -> Tensor:
        """[B, heads, T, C / heads] to [B, T, C]."""
        _, heads, t, depth = context.shape
        return context.transpose(1, 2).reshape(-1, t, heads * depth)


class IntegerMlp(nn.Module):
    """Two matmuls with a table between them and the residual link in the second."""

    def __init__(self, fc1: PackedMatMul, act: Gelu, fc2: PackedMatMulAdd) -> None:
        """Take the ops in their order."""
        super().__init__()
        self.fc1 = fc1
        self.act = act
        self.fc2 = fc2

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Transform int8 ``x`` [..., C] and add int8 ``residual``."""
        out: Tensor = self.fc2(self.act(self.fc1(x)), residual)
        return out


class IntegerBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(
        self, norm1: LayerNorm, attn: IntegerAttention, norm2: LayerNorm, mlp: IntegerMlp
    ) -> None:
        """Take the parts in their order."""
        super().__init__()
        self.norm1 = norm1
        self.attn = attn
        self.norm2 = norm2
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        """Transform the residual stream, int8 [..., C]."""
        x = self.attn(self.norm1(x), x)
        x = self.mlp(self.norm2(x), x)
        return x
