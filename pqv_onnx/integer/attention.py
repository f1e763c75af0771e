"""Attention on integers: of queries, keys and values, or all that stands between two matmuls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from pqv_onnx.integer.layers import OpLayer
from pqv_onnx.integer.windows import Windows

_IN_PARTS = ContextVar("in_parts", default=False)


@contextmanager
def in_parts() -> Iterator[None]:
    """Inside, attention that one op computes is computed by its parts; the bits are equal."""
    token = _IN_PARTS.set(True)
    try:
        yield
    finally:
        _IN_PARTS.reset(token)


class Attention(nn.Module):
    """The attention of int8 queries, keys and values [..., H, N, D] each.

    Attributes:
        query: constant queries, int8 [1, H, N, D], if they are.
    """

    query: Tensor | None

    def __init__(self, softmax: OpLayer, mean: OpLayer, query: Tensor | None = None) -> None:
        """Take the ops behind the product of queries and keys, in their order."""
        super().__init__()
        self.register_buffer("query", query)
        self.matmul = OpLayer("IntMatMul", {})
        self.softmax = softmax
        self.mean = mean

    def forward(self, *inputs: Tensor) -> Tensor:
        """Attend; int8 [..., H, N, D]. Queries are no input if they are constant."""
        *q, k, v = inputs
        if self.query is not None:
            q = [self.query.expand(k.shape[0], *[-1] * (self.query.ndim - 1))]
        return self.mean(self.weights(self.matmul(*q, k)), v)

    def weights(self, logits: Tensor) -> Tensor:
        """Attention weights, uint8, of int32 logits [B * W, H, M, N], or of axes for B and W."""
        if not hasattr(self.softmax, "mask"):
            return self.softmax(logits)
        windows = len(self.softmax.get_buffer("mask"))
        shape = (-1, windows, *self.softmax.get_buffer("bias").shape)
        split: Tensor = self.softmax(logits.reshape(shape))
        return split.reshape(-1, *logits.shape[1:])


class SelfAttention(Attention):
    """Attention of the tokens to each other, from q, k and v side by side to merged heads."""

    def __init__(self, heads: int, softmax: OpLayer, mean: OpLayer) -> None:
        """Take the number of heads and the ops in their order."""
        super().__init__(softmax, mean)
        self.heads = heads
        scales = _scales(softmax, mean)
        self.attention = OpLayer("IntAttention", {}, num_heads=heads, **scales)

    def forward(self, qkv: Tensor) -> Tensor:  # type: ignore[override]
        """Attend over int8 ``qkv`` [B, T, 3 * C]; int8 [B, T, C]."""
        if not _IN_PARTS.get():
            return self.attention(qkv)
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
        self.attention = OpLayer(
            "IntWindowAttention",
            {},
            window_height=windows.size[0],
            window_width=windows.size[1],
            roll_height=windows.shift[0],
            roll_width=windows.shift[1],
            **_scales(softmax, mean),
        )

    def forward(self, qkv: Tensor) -> Tensor:  # type: ignore[override]
        """Attend over int8 ``qkv`` [B, H, W, 3 * C]; int8 [B, H, W, C]."""
        if not _IN_PARTS.get():
            return self.attention(qkv, *(self.softmax.get_buffer(key) for key in ("bias", "mask")))
        return self.windows.merge(super().forward(*self.windows.split(qkv, self.heads).unbind(0)))

    def weights(self, logits: Tensor) -> Tensor:
        """Attention weights, uint8, of int32 logits [B, W, H, M, N]."""
        return self.softmax(logits)


def _scales(softmax: OpLayer, mean: OpLayer) -> dict[str, Any]:
    """What every fused attention takes over from its softmax and its mean."""
    return {
        "softmax_shift": softmax.attributes["shift"],
        "softmax_multiplier": softmax.attributes["multiplier"],
        "log2": softmax.attributes["log2"],
        "mean_shift": mean.attributes["shift"],
        "mean_multiplier": mean.attributes["multiplier"],
        "y_bits": mean.attributes["y_bits"],
    }
