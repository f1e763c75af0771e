"""What chains of moves do as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pqv_onnx.trace.maps import keeps_order, moved, places, sizes, split_chain, tokens
from pqv_onnx.trace.nodes import Input, Move, Node
from pqv_onnx.trace.values import Batch, Call, Operand, Shape

IMAGES = Input("", (), (Batch(1), 4, 6, 2))
"""Two channels of 4 x 6 tokens."""


def move(value: Node, function: Callable[..., Any], *args: Any, shape: Shape) -> Move:
    return Move("", (value,), shape, Call(function, (Operand(0), *args)))


FLAT = move(IMAGES, Tensor.reshape, Batch(1), 24, 2, shape=(Batch(1), 24, 2))
TURNED = move(FLAT, Tensor.transpose, 1, 2, shape=(Batch(1), 2, 24))
WINDOWS = move(IMAGES, Tensor.reshape, Batch(2), 12, 2, shape=(Batch(2), 12, 2))
ROLLED = move(IMAGES, Tensor.roll, (1, 2), (1, 2), shape=IMAGES.shape)


def test_chains() -> None:
    assert split_chain(TURNED, Move) == (IMAGES, [FLAT, TURNED])
    assert split_chain(IMAGES, Move) == (IMAGES, [])
    assert sizes(WINDOWS) == (2, 12, 2)


def test_places_are_those_of_one_image() -> None:
    found = places(IMAGES, [FLAT, TURNED])
    assert found is not None
    assert torch.equal(found[0], torch.arange(48).reshape(24, 2).T)
    assert torch.equal(places(IMAGES, [WINDOWS]).flatten(), torch.arange(48))
    assert torch.equal(places(IMAGES, []).flatten(), torch.arange(48))


def test_images_stay_apart() -> None:
    """And nothing is added to them, or there is no answer."""
    swapped = move(IMAGES, Tensor.transpose, 0, 1, shape=(4, Batch(1), 6, 2))
    back = move(swapped, Tensor.transpose, 0, 1, shape=IMAGES.shape)
    mixed = move(swapped, Tensor.reshape, Batch(1), 4, 6, 2, shape=IMAGES.shape)
    rolled = move(IMAGES, Tensor.roll, 1, 0, shape=IMAGES.shape)
    assert places(IMAGES, [swapped]) is None
    assert keeps_order(IMAGES, [swapped, back])
    padded = move(IMAGES, F.pad, (0, 0, 0, 1), shape=(Batch(1), 4, 7, 2))
    for chain in ([swapped, mixed], [rolled], [padded]):
        assert places(IMAGES, chain) is None
        assert tokens(IMAGES, chain) is None
        assert not keeps_order(IMAGES, chain)


def test_tokens() -> None:
    """Whole tokens only."""
    assert torch.equal(tokens(IMAGES, [FLAT]), torch.arange(24))
    grid = torch.arange(24).reshape(4, 6).roll((1, 2), (0, 1))
    assert torch.equal(tokens(IMAGES, [ROLLED]), grid.flatten())
    assert tokens(IMAGES, [FLAT, TURNED]) is None
    shuffled = move(IMAGES, Tensor.roll, 1, 3, shape=IMAGES.shape)
    assert tokens(IMAGES, [shuffled]) is None


def test_order() -> None:
    assert keeps_order(IMAGES, [])
    assert keeps_order(IMAGES, [FLAT])
    assert not keeps_order(IMAGES, [ROLLED])
    fewer = move(FLAT, Tensor.narrow, 1, 0, 3, shape=(Batch(1), 3, 2))
    assert not keeps_order(IMAGES, [FLAT, fewer])


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        (FLAT, [0, 1]),
        (ROLLED, [0, 1]),
        (TURNED, [[0], [1]]),
        (move(IMAGES, Tensor.roll, 1, 3, shape=IMAGES.shape), [1, 0]),
        (move(FLAT, Tensor.reshape, Batch(1), 12, 4, shape=(Batch(1), 12, 4)), [0, 1, 0, 1]),
        (move(FLAT, Tensor.flatten, 1, shape=(Batch(1), 48)), [0, 1] * 24),
        (move(FLAT, Tensor.narrow, 2, 1, 1, shape=(Batch(1), 24, 1)), [1]),
    ],
)
def test_channels_behind_a_move(node: Move, wanted: list[Any]) -> None:
    """Of channels [0, 1], axes along which they are the same have one place or none."""
    assert moved(node, torch.arange(2)).tolist() == wanted
