"""The training softmax against the integer op."""

from __future__ import annotations

import math

import pytest
import torch

import pqv_onnx.ops.registry  # noqa: F401
from pqv_onnx.ops.fixed_point import softmax_scale
from pqv_onnx.qat.softmax import softmax_2n


@pytest.mark.parametrize("log2", [True, False])
@pytest.mark.parametrize("scale", [1 / 256, 3.7e-4, 0.011])
def test_weights_are_those_of_the_op(log2: bool, scale: float) -> None:
    """Up to one unit of 1/256 in the logit, which is what two-stage requantization may lose.

    In log2 form that moves a weight to the neighbouring power where the logit is next to a
    border between them, less than once in 100; in uniform form, with one unit for the row's
    maximum and one for the logit, it is 0.55% of at most 255, and rounding makes two codes of it.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-4000, 4000, (64, 50), generator=generator, dtype=torch.int32)
    attention = softmax_2n(x * scale, log2)
    shift, multiplier = softmax_scale(scale)
    weights = torch.ops.pqv.int_softmax2n(x, shift, multiplier, int(log2)).float()
    found = attention / attention.amax(-1, keepdim=True) * weights.amax(-1, keepdim=True)
    if log2:
        same = (found.round() == weights).float().mean()
        smaller, larger = torch.minimum(found, weights), torch.maximum(found, weights)
        assert same > 0.99
        assert bool((larger <= 2 * smaller.clamp(min=0.5)).all())
    else:
        assert (found - weights).abs().max() <= 2.01


def test_weights_are_exact_on_whole_and_half_logits() -> None:
    z = torch.tensor([[0.0, -1.0, -1.25, -1.5, -7.0, -7.5, -40.0]])
    expected = torch.tensor([[128.0, 64, 64, 32, 1, 0, 0]])
    torch.testing.assert_close(softmax_2n(z, True), expected / expected.sum())
    expected = torch.tensor([[255.0, 128, 107, 90, 2, 1, 0]])
    torch.testing.assert_close(softmax_2n(z, False), expected / expected.sum())


def test_gradient_is_the_softmax_gradient_at_the_quantized_weights() -> None:
    torch.manual_seed(0)
    z = torch.randn(3, 9, requires_grad=True)
    upstream = torch.randn(3, 9)
    attention = softmax_2n(z, True)
    attention.backward(upstream)
    a = attention.detach()
    expected = math.log(2) * a * (upstream - (upstream * a).sum(-1, keepdim=True))
    torch.testing.assert_close(z.grad, expected)
