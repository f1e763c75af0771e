"""Quantizers: LSQ's gradients, rounding, ranges and initial steps."""

from __future__ import annotations

import math

import pytest
import torch

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.quantizers import (
    GELU_MINIMUM,
    ActivationQuantizer,
    GeluQuantizer,
    ResidualQuantizer,
    WeightQuantizer,
    lsq,
)
from pqv_onnx.spec import TensorSpec


def test_gradients_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    x = (torch.randn(5, 40) * 3).requires_grad_()
    step = (torch.rand(5, 1) * 0.3 + 0.2).requires_grad_()
    upstream = torch.randn(5, 40)
    (lsq(x, step, -7, 7) * upstream).sum().backward()
    for row in range(5):
        s, expected = step[row].item(), 0.0
        for column in range(40):
            v, g = x[row, column].item() / s, upstream[row, column].item()
            inside = -7 <= v <= 7
            assert x.grad[row, column].item() == (pytest.approx(g) if inside else 0)
            expected += g * (round(v) - v if inside else math.copysign(7, v))
        assert step.grad[row].item() == pytest.approx(expected / math.sqrt(40 * 7), rel=1e-4)


def test_narrow_rounding_is_that_of_the_ops() -> None:
    sixty_fourths = torch.arange(-600, 600)
    codes = ((sixty_fourths + 32) // 64).clamp(-8, 7)
    found = lsq(sixty_fourths / 64, torch.tensor(1.0), -8, 7, narrow=True)
    assert torch.equal(found.long(), codes)
    # What rounds up to a tie in 64ths is rounded up again.
    assert lsq(torch.tensor([0.495]), torch.tensor(1.0), -8, 7, narrow=True).item() == 1
    assert lsq(torch.tensor([0.495]), torch.tensor(1.0), -8, 7).item() == 0


@pytest.mark.parametrize(("bits", "most"), [(4, 0.0125), (8, 1e-4)])
def test_search_comes_near_the_least_error_of_a_gaussian(bits: int, most: float) -> None:
    # The best uniform 16-level quantizer has 0.0115 (Max, 1960); zero as a code costs a little.
    x = torch.randn(1 << 14, generator=torch.Generator().manual_seed(1))
    quantizer = ActivationQuantizer(bits)
    quantizer.calibrate(x)
    assert (quantizer.quantize(x) - x).square().mean() < most


def test_initialization_of_lsq() -> None:
    """Section 2.1: twice the mean magnitude over the root of the largest code."""
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    weights = WeightQuantizer(4, 3)
    weights.calibrate(x, "lsq")
    torch.testing.assert_close(weights.step[:, 0], 2 * x.abs().mean(1) / math.sqrt(7))
    residual = ResidualQuantizer(TensorSpec(8, "power-of-two"), 64)
    residual.calibrate(x * torch.ones(64).index_fill(0, torch.tensor(5), 32.0), "lsq")
    assert residual.exponent[5] > residual.exponent[6]
    levels = x * torch.exp2((torch.arange(64) == 5) * 5.0 - residual.exponent)
    torch.testing.assert_close(residual.step, 2 * levels.abs().mean() / math.sqrt(127))


def test_weight_rows_have_their_own_steps() -> None:
    weight = torch.randn(3, 64) * torch.tensor([[0.01], [1.0], [0.0]])
    quantizer = WeightQuantizer(4, 3)
    quantizer.calibrate(weight)
    codes = quantizer.codes(weight)
    assert codes.abs().amax(1).tolist()[:2] == [7, 7]
    assert codes[2].abs().max() == 0
    assert 0 < quantizer.step[2] < quantizer.step[1]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("step", [1e-4, 0.05, 0.1, 0.2, 0.6])
def test_gelu_quantizer_represents_zero(bits: int, step: float) -> None:
    quantizer = GeluQuantizer(bits)
    quantizer.set_step(torch.tensor(step))
    zero_point, limit = quantizer.zero_point, 2 ** (bits - 1)
    assert -limit <= zero_point <= 0
    assert quantizer.codes(torch.zeros(1)).item() == zero_point
    assert quantizer.quantize(torch.zeros(1)).item() == 0
    x = torch.linspace(-GELU_MINIMUM, 300 * step, 1000)
    codes = quantizer.codes(x)
    assert codes.min() >= -limit
    assert codes.max() == limit - 1
    torch.testing.assert_close((codes - zero_point) * quantizer.step, quantizer.quantize(x))


def test_residual_outliers_get_larger_exponents() -> None:
    x = torch.randn(500, 8)
    x[:, 5] *= 8
    x[:, 6] *= 100
    quantizer = ResidualQuantizer(TensorSpec(8, "power-of-two"), 8)
    quantizer.calibrate(x)
    exponent = quantizer.exponent.tolist()
    assert exponent[6] == 3
    assert min(exponent) == 0
    assert exponent[5] <= exponent[6]
    error = (quantizer.quantize(x) - x).square().mean()
    single = ActivationQuantizer(8)
    single.calibrate(x)
    assert error < (single.quantize(x) - x).square().mean() / 2


def test_a_residual_of_one_step_has_no_exponents() -> None:
    x = torch.randn(500, 8) * torch.tensor([1.0] * 6 + [8.0, 100.0])
    quantizer = ResidualQuantizer(TensorSpec(8, "per-tensor"), 8)
    quantizer.calibrate(x)
    assert not quantizer.exponent.any()
    assert torch.equal(quantizer.codes(x) * quantizer.step, quantizer.quantize(x))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_calibration_refuses_what_is_not_finite(value: float) -> None:
    quantizer = ActivationQuantizer(8)
    with pytest.raises(PqvError, match="NaN or infinite"):
        quantizer.calibrate(torch.tensor([1.0, value]))
    with pytest.raises(PqvError, match="no data"):
        quantizer.calibrate(torch.empty(0))


def test_constant_zero_gets_a_step() -> None:
    for quantizer in (ActivationQuantizer(4), GeluQuantizer(4)):
        quantizer.calibrate(torch.zeros(10))
        assert 0 < quantizer.step < 1e-3
