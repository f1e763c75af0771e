"""Quantizers: LSQ's gradients, rounding, ranges and initial steps."""

from __future__ import annotations

import math

import pytest
import torch

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.arithmetic import narrow
from pqv_onnx.qat.quantizers import (
    GELU_FLAT,
    GELU_MINIMUM,
    ActivationQuantizer,
    AsymmetricQuantizer,
    ResidualQuantizer,
    WeightQuantizer,
    lsq,
)
from pqv_onnx.spec import TensorSpec


def test_gradients_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    x = (torch.randn(5, 40) * 3).requires_grad_()
    quantizer = WeightQuantizer(4, 5)
    quantizer.set_step(torch.rand(5, 1) * 0.3 + 0.2)
    step, upstream = quantizer.step, torch.randn(5, 40)
    step.retain_grad()
    scaled = x.detach() / step.detach().float()
    codes = scaled.round().clamp(-7, 7)
    (lsq(x, step, (-7, 7), scaled, codes) * upstream).sum().backward()
    for row in range(5):
        s, expected = step[row].item(), 0.0
        for column in range(40):
            v, g = x[row, column].item() / s, upstream[row, column].item()
            inside = -7 <= v <= 7
            assert x.grad[row, column].item() == (pytest.approx(g) if inside else 0)
            expected += g * (round(v) - v if inside else math.copysign(7, v))
        assert step.grad[row].item() == pytest.approx(expected / math.sqrt(40 * 7), rel=1e-4)


def test_what_an_op_narrows_is_rounded_as_it_does() -> None:
    sixty_fourths = torch.arange(-600, 600)
    quantizer = ActivationQuantizer(4)
    quantizer.set_step(torch.tensor(1.0))
    found = quantizer(torch.zeros(1200), lambda _step: sixty_fourths / 64)
    assert torch.equal(found.int(), narrow(sixty_fourths.int(), 4).int())


def test_eight_bits_keep_the_range() -> None:
    """One value in a million may be what attention lives on."""
    x = torch.zeros(1_000_000)
    x[:1000] = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    x[123] = 12.0
    for quantizer in (
        ActivationQuantizer(8),
        AsymmetricQuantizer(8, GELU_MINIMUM),
        AsymmetricQuantizer(8, GELU_FLAT),
    ):
        quantizer.calibrate(x)
        assert quantizer.quantize(x)[123].item() == pytest.approx(12.0, rel=0.01)
        assert quantizer.step < 12.0 / 100
    residual = ResidualQuantizer(TensorSpec(8, "power-of-two"), 4)
    wide = torch.randn(5000, 4, generator=torch.Generator().manual_seed(0))
    wide[:, 2] *= 500
    residual.calibrate(wide)
    assert (residual.quantize(wide) - wide).abs()[:, 2].max() <= 0.51 * residual.channel_step[2]


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
    torch.testing.assert_close(weights.step[:, 0].float(), 2 * x.abs().mean(1) / math.sqrt(7))
    residual = ResidualQuantizer(TensorSpec(8, "power-of-two"), 64)
    residual.calibrate(x * torch.ones(64).index_fill(0, torch.tensor(5), 32.0), "lsq")
    assert residual.exponent[5] > residual.exponent[6]
    levels = x * torch.exp2((torch.arange(64) == 5) * 5.0 - residual.exponent)
    torch.testing.assert_close(residual.step.float(), 2 * levels.abs().mean() / math.sqrt(127))


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
    quantizer = AsymmetricQuantizer(bits, GELU_MINIMUM)
    quantizer.set_step(torch.tensor(step))
    zero_point, limit = quantizer.zero_point, 2 ** (bits - 1)
    assert -limit <= zero_point <= 0
    assert quantizer.codes(torch.zeros(1)).item() == 0
    assert quantizer.quantize(torch.zeros(1)).item() == 0
    x = torch.linspace(-GELU_MINIMUM, 300 * step, 1000)
    codes = quantizer.codes(x) + zero_point
    assert codes.min() >= -limit
    assert codes.max() == limit - 1
    real = (codes - zero_point) * quantizer.step
    torch.testing.assert_close(real.float(), quantizer.quantize(x))


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
    assert torch.equal((quantizer.codes(x) * quantizer.step.float()), quantizer.quantize(x))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_calibration_refuses_what_is_not_finite(value: float) -> None:
    quantizer = ActivationQuantizer(8)
    with pytest.raises(PqvError, match="NaN or infinite"):
        quantizer.calibrate(torch.tensor([1.0, value]))
    with pytest.raises(PqvError, match="no data"):
        quantizer.calibrate(torch.empty(0))


def test_constant_zero_gets_a_step() -> None:
    for quantizer in (ActivationQuantizer(4), AsymmetricQuantizer(4, GELU_MINIMUM)):
        quantizer.calibrate(torch.zeros(10))
        assert 0 < quantizer.step < 1e-3
