"""The training softmax: the op's weights, the gradient of the real one."""

from __future__ import annotations

import math

import pytest
import torch

import pqv_onnx.ops.registry  # noqa: F401
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.softmax import QuantSoftmax


def _sums(codes: torch.Tensor, unit: float) -> Sums:
    return Sums(codes * unit, codes.int(), torch.tensor(unit, dtype=torch.float64))


@pytest.mark.parametrize("log2", [True, False])
@pytest.mark.parametrize("unit", [1 / 256, 3.7e-4, 0.011])
def test_weights_are_those_of_the_op(log2: bool, unit: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-40000, 40000, (64, 50), generator=generator, dtype=torch.int32)
    softmax = QuantSoftmax(log2)
    weights, attention = softmax(_sums(x, unit))
    shift, multiplier = softmax.scale(torch.tensor(unit, dtype=torch.float64))
    expected = torch.ops.pqv.int_softmax2n(x, shift, multiplier, int(log2)).float()
    assert torch.equal(weights, expected)
    assert torch.equal(attention, expected / expected.sum(-1, keepdim=True))


def test_weights_are_exact_on_whole_and_half_logits() -> None:
    z = torch.tensor([[0.0, -1.0, -1.25, -1.5, -7.0, -7.5, -40.0]])
    expected = torch.tensor([[128.0, 64, 64, 32, 1, 0, 0]])
    assert torch.equal(QuantSoftmax(True)(_sums(z * 4, 0.25))[0], expected)
    expected = torch.tensor([[255.0, 128, 107, 90, 2, 1, 0]])
    assert torch.equal(QuantSoftmax(False)(_sums(z * 4, 0.25))[0], expected)


@pytest.mark.parametrize("log2", [True, False])
def test_logits_of_any_size_are_relative_to_the_largest(log2: bool) -> None:
    """Real models have logits of some 400 in log2 units."""
    near = torch.tensor([[0, -1, -2, -3]]) * 4
    softmax = QuantSoftmax(log2)
    wanted = softmax(_sums(near, 0.25))[0]
    for largest in (300, 409, -409):
        found = softmax(_sums(near + largest * 4, 0.25))[0]
        assert torch.equal(found, wanted), largest


def test_gradient_is_the_softmax_gradient_at_the_quantized_weights() -> None:
    torch.manual_seed(0)
    sums = _sums(torch.randint(-2000, 2000, (3, 9)), 1 / 500)
    sums.real.requires_grad_()
    upstream = torch.randn(3, 9)
    attention = QuantSoftmax(True)(sums)[1]
    attention.backward(upstream)
    a = attention.detach()
    expected = math.log(2) * a * (upstream - (upstream * a).sum(-1, keepdim=True))
    torch.testing.assert_close(sums.real.grad, expected)


@pytest.mark.parametrize("log2", [True, False])
def test_excluded_places_are_not_there(log2: bool) -> None:
    x = torch.randint(-2000, 2000, (2, 3, 7))
    excluded = torch.zeros(3, 7, dtype=torch.bool)
    excluded[:, 0] = True
    softmax = QuantSoftmax(log2)
    found = softmax(_sums(x, 1 / 500), excluded=excluded)[0]
    assert torch.equal(found[..., 1:], softmax(_sums(x[..., 1:], 1 / 500))[0])
    assert not found[..., 0].any()
    weights, attention = softmax(_sums(x, 1 / 500), excluded=torch.ones_like(excluded))
    assert not weights.any() and not attention.any()
