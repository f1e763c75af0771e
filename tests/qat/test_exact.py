"""Training on codes: values of the ops, gradients of the real functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from pqv_onnx.qat import exact
from pqv_onnx.qat.layers import QuantLinear, quantize_constant


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_gradients_are_those_of_the_real_value() -> None:
    real = torch.randn(5, requires_grad=True)
    out = exact.straight_through(real, torch.zeros(5))
    out.backward(torch.arange(5.0))
    assert torch.equal(out, torch.zeros(5))
    assert real.grad is not None and torch.equal(real.grad, torch.arange(5.0))


@pytest.mark.parametrize("b_shape", [(4, 3), (2, 4, 3)])
def test_a_product_has_the_gradients_of_matmul(b_shape: tuple[int, ...]) -> None:
    a = torch.randn(2, 5, 4, requires_grad=True)
    b = torch.randn(b_shape, requires_grad=True)
    codes = torch.ones(2, 5, 3, dtype=torch.int32)
    sums = exact.product(a, b, codes, torch.tensor(0.5, dtype=torch.float64))
    assert torch.equal(sums.real, torch.full((2, 5, 3), 0.5))
    upstream = torch.randn(2, 5, 3)
    found = torch.autograd.grad(sums.real, (a, b), upstream)
    expected = torch.autograd.grad(a @ b, (a, b), upstream)
    torch.testing.assert_close(found, expected)


def test_sums_beyond_the_floats_are_exact() -> None:
    """2^24 is where float32 begins to lose units: 2048 products of 127 by 127 are above it."""
    layer = QuantLinear(2048, 1, 8, bias=True)
    layer.weight.data.fill_(127.0)
    layer.bias.data.fill_(3.0)
    layer.quantizer.set_step(torch.ones(1, 1))
    x = torch.full((1, 2048), 127.0)
    x[0, 0] = 126.0
    sums = layer(x, torch.ones((), dtype=torch.float64))
    assert sums.codes.item() == 127 * (2047 * 127 + 126) + 3


def test_a_linear_layer_has_its_gradients() -> None:
    layer = QuantLinear(6, 4, 8, bias=True)
    layer.weight.data.normal_()
    layer.bias.data.normal_()
    layer.quantizer.calibrate(layer.weight)
    step = torch.tensor(0.1, dtype=torch.float64)
    x = (torch.randint(-128, 128, (3, 6)) * step).float().requires_grad_()
    upstream = torch.randn(3, 4)
    layer(x, step).real.backward(upstream)
    weight = layer.quantizer(layer.weight).detach().requires_grad_()
    bias, copy = layer.bias.detach().clone().requires_grad_(), x.detach().clone().requires_grad_()
    F.linear(copy, weight, bias).backward(upstream)
    torch.testing.assert_close(x.grad, copy.grad)
    torch.testing.assert_close(layer.bias.grad, bias.grad)
    torch.testing.assert_close(layer.weight.grad, weight.grad)


def test_constants_keep_their_codes() -> None:
    """Every channel uses its whole range, however wide the others are."""
    constant = torch.randn(1, 9, 3) * torch.tensor([1e-4, 1.0, 500.0])
    found = quantize_constant(constant)
    assert found.codes.abs().amax((0, 1)).tolist() == [127, 127, 127]
    torch.testing.assert_close(found.real.double(), found.codes * found.channel_step)
