"""Modules that only move elements: for any number of images."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pqv_onnx.errors import PqvError
from pqv_onnx.integer.moves import Join, Moves, TakeTokens, open_shape
from pqv_onnx.qat.layers import to_patches
from pqv_onnx.trace.nodes import Input, Move
from pqv_onnx.trace.values import Batch, Call, Operand


def codes(*shape: int) -> Tensor:
    return torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(0)).to(
        torch.int8
    )


def test_open_shapes() -> None:
    assert open_shape((Batch(1), 4, 2)) == (-1, 4, 2)
    assert open_shape((4, Batch(9))) == (4, -1)
    for shape in ((4, 2), (Batch(1), Batch(2))):
        with pytest.raises(PqvError, match="has no one axis for the batch"):
            open_shape(shape)


@pytest.mark.parametrize("count", [1, 3])
def test_windows_of_a_reshape(count: int) -> None:
    x = codes(count, 8, 3)
    assert torch.equal(x.reshape(open_shape((Batch(2), 4, 3))), x.reshape(2 * count, 4, 3))


@pytest.mark.parametrize("count", [1, 3])
def test_a_chain(count: int) -> None:
    """With a size that is the recorded batch's in a reshape."""
    image = Input("", (), (Batch(1), 4, 6, 2))
    rolled = Move("a", (image,), image.shape, Call(Tensor.roll, (Operand(0), -1, 1)))
    shape = (Batch(2), 2, 6, 2)
    cut = Move("b", (rolled,), shape, Call(Tensor.reshape, (Operand(0), Batch(2), 2, 6, 2)))
    turned = (Batch(2), 6, 2, 2)
    last = Move("c", (cut,), turned, Call(Tensor.permute, (Operand(0), 0, 2, 1, 3)))
    x = codes(count, 4, 6, 2)
    wanted = x.roll(-1, 1).reshape(2 * count, 2, 6, 2).permute(0, 2, 1, 3)
    assert torch.equal(Moves([rolled, cut, last])(x), wanted)


def test_moves_by_the_batch_are_refused() -> None:
    image = Input("", (), (Batch(1), 4))
    node = Move("blocks.0", (image,), image.shape, Call(Tensor.roll, (Operand(0), Batch(1), 0)))
    with pytest.raises(PqvError, match="^blocks.0: roll by the number of images$"):
        Moves([node])(codes(2, 4))


def test_tokens() -> None:
    x = codes(2, 4, 3)
    assert torch.equal(TakeTokens(torch.tensor([3, 0, 0]))(x), x[:, [3, 0, 0]])


def test_patches_are_a_convolutions() -> None:
    """In the order of its weights."""
    images, weight = codes(2, 3, 8, 6), codes(5, 3, 4, 2)
    patches = to_patches(images, (4, 2))
    assert patches.dtype == torch.int8
    found = patches.float() @ weight.flatten(1).float().T
    wanted = F.conv2d(images.float(), weight.float(), stride=(4, 2)).permute(0, 2, 3, 1)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("axis", [1, 2])
def test_join(axis: int) -> None:
    first, second, constant = codes(3, 4, 4), codes(3, 4, 4) + 1, codes(1, 4, 4)
    same = constant.expand(3, -1, -1)
    for parts, values, wanted in (
        ([constant, None], [first], [same, first]),
        ([None, constant, None], [first, second], [first, same, second]),
        ([None, None], [first, second], [first, second]),
    ):
        joined = Join(parts, axis)
        assert torch.equal(joined(*values), torch.cat(wanted, axis))
        assert len(list(joined.buffers())) == sum(part is not None for part in parts)
