"""The shapes of windowed attention are timm's."""

from __future__ import annotations

import pytest
import torch
from timm.models.swin_transformer import (
    PatchMerging,
    SwinTransformerBlock,
    get_relative_position_index,
    window_partition,
    window_reverse,
)

from pqv_onnx.qat.windows import (
    Size,
    attention_mask,
    merge_heads,
    merge_patches,
    relative_position_index,
    roll,
    split_heads,
)

SIZES = [((14, 14), (7, 7), (3, 3)), ((8, 6), (4, 3), (2, 1)), ((12, 7), (3, 7), (1, 0))]


@pytest.mark.parametrize(("grid", "window", "shift"), SIZES)
def test_relative_position_index(grid: Size, window: Size, shift: Size) -> None:
    assert torch.equal(relative_position_index(window), get_relative_position_index(*window))


@pytest.mark.parametrize(("grid", "window", "shift"), SIZES)
def test_attention_mask(grid: Size, window: Size, shift: Size) -> None:
    block = SwinTransformerBlock(8, grid, window_size=window, shift_size=shift)
    assert tuple(block.shift_size) == shift
    assert torch.equal(attention_mask(grid, window, shift), block.attn_mask != 0)
    unshifted = attention_mask(grid, window, (0, 0))
    assert unshifted.shape == (1, *block.attn_mask.shape[1:])
    assert not unshifted.any()


@pytest.mark.parametrize(("grid", "window", "shift"), SIZES)
def test_windows_and_heads(grid: Size, window: Size, shift: Size) -> None:
    """The matmul's columns are q, k, v, then heads, as timm's reshape of each window has them."""
    heads, depth, tokens = 2, 5, window[0] * window[1]
    qkv = torch.arange(3 * grid[0] * grid[1] * 3 * heads * depth, dtype=torch.int32)
    qkv = qkv.reshape(3, *grid, 3 * heads * depth)
    windows = window_partition(qkv, window).reshape(3, -1, tokens, 3, heads, depth)
    expected = windows.permute(3, 0, 1, 4, 2, 5)
    found = split_heads(qkv, window, heads)
    assert torch.equal(found, expected)
    context = found[1].transpose(2, 3).reshape(-1, *window, heads * depth)
    assert torch.equal(merge_heads(found[1], window, grid), window_reverse(context, window, *grid))


def test_roll() -> None:
    x = torch.randn(2, 8, 6, 3)
    assert roll(x, (0, 0)) is x
    assert torch.equal(roll(x, (2, 1)), torch.roll(x, (-2, -1), (1, 2)))
    assert torch.equal(roll(roll(x, (2, 1)), (-2, -1)), x)


def test_merge_patches() -> None:
    merging = PatchMerging(4, norm_layer=torch.nn.Identity)
    merging.reduction = torch.nn.Identity()
    x = torch.randn(2, 8, 6, 4)
    assert torch.equal(merge_patches(x), merging(x))
