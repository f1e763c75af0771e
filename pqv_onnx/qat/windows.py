"""Windows of a Swin Transformer (Liu et al., ICCV 2021, section 3.2): shapes, no arithmetic.

An image of tokens [B, H, W, C] is cut into windows of ``window`` = (h, w) tokens, row by row;
a window's T = h * w tokens are again in their rows' order. Works on any dtype, so that the
fake-quantized and the integer model share it.
"""

from __future__ import annotations

import torch
from torch import Tensor

Size = tuple[int, int]


def roll(x: Tensor, shift: Size) -> Tensor:
    """Move the tokens of ``x`` [B, H, W, C] up and to the left, around the border."""
    for axis, by in enumerate(shift, 1):
        if by:  # a roll by nothing would be exported as copies
            x = torch.roll(x, -by, axis)
    return x


def split_heads(qkv: Tensor, window: Size, heads: int) -> Tensor:
    """Cut [B, H, W, 3 * C] into windows and heads: [3, B, windows, heads, T, C / heads]."""
    _, height, width, channels = qkv.shape
    (h, w), depth = window, channels // 3 // heads
    grid = qkv.reshape(-1, height // h, h, width // w, w, 3, heads, depth)
    windows = (height // h) * (width // w)
    return grid.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, -1, windows, heads, h * w, depth)


def merge_heads(context: Tensor, window: Size, grid: Size) -> Tensor:
    """Put [B, windows, heads, T, C / heads] back together as [B, H, W, C]; ``grid`` is H, W."""
    _, _, heads, _, depth = context.shape
    (h, w), (height, width) = window, grid
    windows = context.reshape(-1, height // h, width // w, heads, h, w, depth)
    return windows.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, height, width, heads * depth)


def merge_patches(x: Tensor) -> Tensor:
    """Stack each 2 x 2 tokens of [B, H, W, C] as [B, H / 2, W / 2, 4 * C], columns first."""
    _, height, width, channels = x.shape
    pairs = x.reshape(-1, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5)
    return pairs.reshape(-1, height // 2, width // 2, 4 * channels)


def relative_position_index(window: Size) -> Tensor:
    """Row of the bias table for each pair of a window's tokens, int64 [T, T]."""
    h, w = window
    # Always on the CPU: a model is also made on the meta device, and this is not loaded later.
    rows = torch.arange(h, device="cpu").repeat_interleave(w)
    columns = torch.arange(w, device="cpu").repeat(h)
    down = rows[:, None] - rows + h - 1
    right = columns[:, None] - columns + w - 1
    return down * (2 * w - 1) + right


def attention_mask(grid: Size, window: Size, shift: Size) -> Tensor:
    """Pairs of tokens that a shift brought into one window, bool [windows, T, T].

    They are no neighbours in the image and must not attend to each other. Without a shift
    there are none, and the mask of one window, [1, T, T], serves all.
    """
    h, w = window
    if not any(shift):
        return torch.zeros(1, h * w, h * w, dtype=torch.bool, device="cpu")
    wrapped = [
        torch.arange(size, device="cpu") >= size - by for size, by in zip(grid, shift, strict=True)
    ]
    region = 2 * wrapped[0][:, None].int() + wrapped[1].int()
    cut = region.reshape(grid[0] // h, h, grid[1] // w, w).permute(0, 2, 1, 3).reshape(-1, h * w)
    return cut[:, :, None] != cut[:, None, :]
