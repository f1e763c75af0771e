"""Penalties: their values, what they move, and that damped weights come to rest."""

from __future__ import annotations

import pytest
import torch

from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.spec import TensorSpec
from pqv_onnx.train.recipe import Regularization
from pqv_onnx.train.regularization import Regularizer, dampening, residual_excess


def test_excess_is_counted_in_codes_of_the_channel() -> None:
    quantizer = ResidualQuantizer(TensorSpec(8, "power-of-two"), 2)
    quantizer.set_step(torch.tensor(0.5))
    quantizer.exponent.copy_(torch.tensor([0, 1]))
    x = torch.tensor([[64.5, 64.5], [-70.0, 131.0]], requires_grad=True)
    found = residual_excess(x, quantizer)  # 2 and 0; -12 and 4 codes beyond
    assert found.item() == pytest.approx((4 + 0 + 144 + 16) / 4)
    found.backward()
    assert quantizer.log_step.grad is None
    assert x.grad is not None
    assert (x.grad.sign() == torch.tensor([[1, 0], [-1, 1]])).all()


def linear(values: list[float]) -> QuantLinear:
    """One row of weights with a step of 1."""
    layer = QuantLinear(len(values), 1, 4, bias=False)
    layer.quantizer.set_step(torch.ones(1, 1))
    layer.weight.data.copy_(torch.tensor([values]))
    return layer


def test_dampening_pulls_to_the_middle_of_the_bin() -> None:
    layer = linear([0.0, 0.4, -1.3, 2.6, 9.0])
    found = dampening(layer)
    assert found.item() == pytest.approx(0.4**2 + 0.3**2 + 0.4**2)
    found.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad[0].tolist() == pytest.approx([0, 0.8, -0.6, -0.8, 0], abs=1e-6)
    assert layer.quantizer.log_step.grad is None


def test_the_dampening_grows_by_half_a_cosine() -> None:
    layer = linear([0.5 - 1e-3])
    penalty = Regularizer(Regularization(oscillation=2.0), layer)  # type: ignore[arg-type]
    whole = 2 * dampening(layer).item()
    found = [float(torch.as_tensor(penalty(done)).detach()) for done in (0.0, 0.5, 1.0)]
    assert found == pytest.approx([0.0, whole / 2, whole])
    assert Regularizer(Regularization(), layer)(1.0) == 0.0  # type: ignore[arg-type]


def late_flips(weight: float) -> torch.Tensor:
    """How often each weight changes its code in the last tenth of a training."""
    wanted = torch.tensor([[0.2, 0.35, 0.5, 0.65, 0.8, -1.3, 2.6, 3.45]])
    layer = linear([0.0] * wanted.shape[1])
    layer.quantizer.log_step.requires_grad_(False)
    penalty = Regularizer(Regularization(oscillation=weight), layer)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD([layer.weight], lr=0.05)
    steps, flips = 1000, torch.zeros(wanted.shape)
    codes = layer.quantizer.codes(layer.weight)
    for step in range(steps):
        error = layer.quantizer(layer.weight) - wanted
        loss = error.square().sum() / 2 + penalty(step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        before, codes = codes, layer.quantizer.codes(layer.weight)
        if step >= steps * 0.9:
            flips += before != codes
    return flips


def test_damped_weights_come_to_rest() -> None:
    """Weights whose best values lie between two codes (Nagel et al., section 2.1).

    Straight-through gradients push each over the border and back, for ever; damped, it stays.
    """
    assert bool((late_flips(0.0) > 0).all())
    assert not late_flips(1.0).any()
