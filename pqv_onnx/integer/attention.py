"""Attention on integers: of queries, keys and values, or all that stands between two matmuls."""

from __future__ import annotations

from torch import Tensor, nn

from pqv_onnx.integer.layers import OpLayer
from pqv_onnx.integer.windows import Windows


class Attention(nn.Module):
    """The attention of int8 queries, keys and values [..., H, N, D] each."""

    def __init__(self, softmax: OpLayer, mean: OpLayer) -> None:
        """Take the ops behind the product of queries and keys, in their order."""
        super().__init__()
        self.matmul = OpLayer("IntMatMul", {})
        self.softmax = softmax
        self.mean = mean

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend; int8 [..., H, N, D]."""
        return self.mean(self.weights(self.matmul(q, k)), v)

    def weights(self, logits: Tensor) -> Tensor:
        """Attention weights, uint8, of int32 logits [B * W, H, M, N] for W windows."""
        if not hasattr(self.softmax, "mask"):
            return self.softmax(logits)
        windows, shape = len(self.softmax.get_buffer("mask")), logits.shape[1:]
        split: Tensor = self.softmax(logits.reshape(-1, windows, *shape))
        return split.reshape(-1, *shape)


class QueryAttention(Attention):
    """The attention of constant queries."""

    query: Tensor

    def __init__(self, query: Tensor, softmax: OpLayer, mean: OpLayer) -> None:
        """Take the queries, int8 [1, H, N, D], and the ops in their order."""
        super().__init__(softmax, mean)
        self.register_buffer("query", query)

    def forward(self, k: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        """Attend over int8 ``k`` and ``v`` [B, H, M, D]; int8 [B, H, N, D]."""
        return super().forward(self.query.expand(k.shape[0], -1, -1, -1), k, v)


class SelfAttention(Attention):
    """Attention of the tokens to each other, from q, k and v side by side to merged heads."""

    def __init__(self, heads: int, softmax: OpLayer, mean: OpLayer) -> None:
        """Take the number of heads and the ops in their order."""
        super().__init__(softmax, mean)
        self.heads = heads

    def forward(self, qkv: Tensor) -> Tensor:  # type: ignore[override]
        """Attend over int8 ``qkv`` [B, T, 3 * C]; int8 [B, T, C]."""
        _, tokens, channels = qkv.shape
        width = channels // 3 // self.heads
        split = qkv.reshape(-1, tokens, 3, self.heads, width).permute(2, 0, 3, 1, 4)
        context = super().forward(*split.unbind(0))
        return context.transpose(1, 2).reshape(-1, tokens, self.heads * width)


class WindowAttention(Attention):
    """Attention within windows of an image of tokens, rolled before and after."""

    def __init__(self, heads: int, windows: Windows, softmax: OpLayer, mean: OpLayer) -> None:
        """Take the number of heads, the windows and the ops in their order."""
        super().__init__(softmax, mean)
        self.heads, self.windows = heads, windows

    def forward(self, qkv: Tensor) -> Tensor:  # type: ignore[override]
        """Attend over int8 ``qkv`` [B, H, W, 3 * C]; int8 [B, H, W, C]."""
        return self.windows.merge(super().forward(*self.windows.split(qkv, self.heads).unbind(0)))

    def weights(self, logits: Tensor) -> Tensor:
        """Attention weights, uint8, of int32 logits [B, W, H, M, N]."""
        return self.softmax(logits)
