"""Windows of a Swin Transformer (Liu et al., ICCV 2021, section 3.2): shapes, no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """How an image of tokens [B, H, W, C] is cut.

    A window's T = h * w tokens are in their rows' order, as the windows are.

    Attributes:
        grid: H and W.
        size: h and w, tokens of a window.
        shift: how far the image is rolled up and to the left before.
    """

    grid: Size
    size: Size
    shift: Size

    def split(self, qkv: Tensor, heads: int) -> Tensor:
        """Cut [B, H, W, 3 * C] into [3, B, windows, heads, T, C / heads]."""
        rolled = _roll(qkv, self.shift)
        (height, width), (h, w) = self.grid, self.size
        depth = qkv.shape[-1] // 3 // heads
        cut = rolled.reshape(-1, height // h, h, width // w, w, 3, heads, depth)
        windows = (height // h) * (width // w)
        return cut.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, -1, windows, heads, h * w, depth)

    def merge(self, context: Tensor) -> Tensor:
        """Put [B, windows, heads, T, C / heads] back together as [B, H, W, C]."""
        _, _, heads, _, depth = context.shape
        (height, width), (h, w) = self.grid, self.size
        cut = context.reshape(-1, height // h, width // w, heads, h, w, depth)
        image = cut.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, height, width, heads * depth)
        return _roll(image, (-self.shift[0], -self.shift[1]))


def _roll(x: Tensor, shift: Size) -> Tensor:
    """Move the tokens of ``x`` [B, H, W, C] up and to the left, around the border."""
    for axis, by in enumerate(shift, 1):
        if by:  # a roll by nothing would be exported as copies
            x = torch.roll(x, -by, axis)
    return x
