"""Windows are cut and put together as timm does it."""

from __future__ import annotations

import pytest
import torch
from timm.models.swin_transformer import window_partition, window_reverse

from pqv_onnx.integer.windows import Size, Windows

SIZES = [((14, 14), (7, 7), (3, 3)), ((8, 6), (4, 3), (2, 1)), ((12, 7), (3, 7), (1, 0))]


@pytest.mark.parametrize(("grid", "size", "shift"), SIZES)
def test_windows_and_heads(grid: Size, size: Size, shift: Size) -> None:
    """The matmul's columns are q, k, v, then heads, as timm's reshape of each window has them."""
    heads, depth, tokens = 2, 5, size[0] * size[1]
    back = (-shift[0], -shift[1])
    qkv = torch.arange(3 * grid[0] * grid[1] * 3 * heads * depth, dtype=torch.int32)
    qkv = qkv.reshape(3, *grid, 3 * heads * depth)
    rolled = torch.roll(qkv, back, (1, 2))
    cut = window_partition(rolled, size).reshape(3, -1, tokens, 3, heads, depth)
    windows = Windows(grid, size, shift)
    found = windows.split(qkv, heads)
    assert torch.equal(found, cut.permute(3, 0, 1, 4, 2, 5))
    context = found[1].transpose(2, 3).reshape(-1, *size, heads * depth)
    merged = torch.roll(window_reverse(context, size, *grid), shift, (1, 2))
    assert torch.equal(windows.merge(found[1]), merged)


def test_nothing_is_rolled_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be exported as copies."""
    rolls: list[tuple[int, int]] = []

    def roll(x: torch.Tensor, by: int, axis: int) -> torch.Tensor:
        rolls.append((by, axis))
        return x

    monkeypatch.setattr(torch, "roll", roll)
    for shift in ((0, 0), (2, 0), (2, 1)):
        windows = Windows((8, 6), (4, 3), shift)
        windows.merge(windows.split(torch.zeros(1, 8, 6, 12), 2)[0])
    assert rolls == [(-2, 1), (2, 1), *((-2, 1), (-1, 2), (2, 1), (1, 2))]
