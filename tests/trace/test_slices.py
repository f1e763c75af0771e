"""Tokens that nobody reads are left out before the last norm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pqv_onnx.trace import Graph, evaluate, normalise, record
from pqv_onnx.trace.nodes import Concat, Heads, Norm
from tests.trace.models import graph, images, tensors


class Model(nn.Module):
    """Four tokens of width 8, normalised; ``body`` gets them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.norm(self.embed(x).flatten(2).transpose(1, 2)))

    def body(self, x: Tensor) -> Any:
        raise NotImplementedError


def norm_of(model: type[Model]) -> tuple[Norm, Graph]:
    """The norm of a model whose graph computes what it does."""
    torch.manual_seed(0)
    made = model().eval()
    found = normalise(record(made, (3, 8, 8)))
    x = images((3, 8, 8), 3)
    torch.testing.assert_close(evaluate(found, tensors(made), x), made(x))
    return next(node for node in found.nodes if isinstance(node, Norm)), found


class First(Model):
    def body(self, x: Tensor) -> Tensor:
        return x[:, 0]


class Last(Model):
    def body(self, x: Tensor) -> Tensor:
        return x[:, 2:]


@pytest.mark.parametrize(("model", "shape"), [(First, (8,)), (Last, (2, 8))])
def test_a_slice_comes_first(model: type[Model], shape: tuple[int, ...]) -> None:
    norm, found = norm_of(model)
    assert norm is found.output and norm.shape[1:] == shape


class ReadTwice(Model):
    def body(self, x: Tensor) -> Tensor:
        return x[:, 0] + x.mean(1)


class HalfAToken(Model):
    def body(self, x: Tensor) -> Tensor:
        return x[..., :4]


class SameTokens(Model):
    def body(self, x: Tensor) -> Tensor:
        return x.roll(1, 1)


@pytest.mark.parametrize("model", [ReadTwice, HalfAToken, SameTokens])
def test_a_norm_of_all_stays(model: type[Model]) -> None:
    norm, _ = norm_of(model)
    assert norm.shape[1:] == (4, 8)


class Both(Model):
    def body(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, 1], x[:, 2]), 1)


class Exchanged(Model):
    def body(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, 2], x[:, 1]), 1)


def test_neighbours_are_one_slice() -> None:
    norm, found = norm_of(Both)
    assert norm.shape[1:] == (2, 8)
    assert not any(isinstance(node, Concat) for node in found.nodes)


def test_others_are_not() -> None:
    _, found = norm_of(Exchanged)
    assert any(isinstance(node, Concat) for node in found.nodes)


def test_timms_heads_read_what_they_need() -> None:
    for structure, shape in (("vit", (24,)), ("deit_distilled", (2, 24))):
        norms = [node for node in graph(structure).nodes if isinstance(node, Norm)]
        assert norms[-1].shape[1:] == shape
    assert isinstance(graph("deit_distilled").output, Heads)
