"""The roundings of training against the oracle, op by op."""

from __future__ import annotations

import pytest
import torch

from pqv_onnx.ops import fixed_point
from pqv_onnx.ops.arithmetic import narrow
from pqv_onnx.ops.domain import PACKED_LAYOUT
from pqv_onnx.ops.int_layer_norm import int_layer_norm
from pqv_onnx.ops.int_softmax2n import int_softmax2n
from pqv_onnx.ops.int_weighted_mean import int_weighted_mean
from pqv_onnx.ops.packed_matmul import packed_int8_matmul_add
from pqv_onnx.packing import pack_weight
from pqv_onnx.qat import imitation
from pqv_onnx.qat.softmax import softmax_2n


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _narrow(exact: torch.Tensor, step: torch.Tensor | float, bits: int) -> torch.Tensor:
    """The codes of a result with 6 fraction bits."""
    units = exact / step * 64
    assert torch.allclose(units, units.round(), atol=1e-2)
    return narrow(units.round().int(), bits)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("channels", [1, 7, 96])
def test_layer_norm(bits: int, channels: int) -> None:
    codes = torch.randint(-128, 128, (50, channels), dtype=torch.int8)
    exponent = torch.randint(0, 4, (channels,), dtype=torch.int8)
    weight, bias = torch.randn(channels), torch.randn(channels)
    step, out_step = torch.tensor(0.013), torch.tensor(4.0 / 2**bits)
    shift, multiplier = fixed_point.layer_norm_scale(weight.double() / out_step.double())
    expected = int_layer_norm(
        codes,
        exponent,
        torch.from_numpy(shift),
        torch.from_numpy(multiplier),
        torch.from_numpy(fixed_point.layer_norm_bias(bias.double() / out_step.double())),
        fixed_point.layer_norm_epsilon(1e-6, channels, step.item()),
        bits,
    )
    x = codes * step * torch.exp2(exponent.float())
    found = imitation.layer_norm(x, weight, bias, 1e-6, step, out_step)
    assert torch.equal(_narrow(found, out_step, bits), expected)


@pytest.mark.parametrize("in_features", [3, 64])
def test_matmul_with_residual(in_features: int) -> None:
    n = 16
    a = torch.randint(-128, 128, (50, in_features), dtype=torch.int8)
    w = torch.randint(-127, 128, (in_features, n), dtype=torch.int8)
    residual = torch.randint(-128, 128, (50, n), dtype=torch.int8)
    unit = torch.rand(n, dtype=torch.float64) * 1e-4 + 1e-5
    in_step, out_step = torch.rand(n) + 0.5, torch.rand(n) + 0.5
    shift, multiplier = fixed_point.requantizer(unit / out_step.double())
    expected = packed_int8_matmul_add(
        a,
        torch.from_numpy(pack_weight(w.numpy(), 8)),
        torch.zeros(n, dtype=torch.int32),
        torch.from_numpy(shift),
        torch.from_numpy(multiplier),
        residual,
        torch.from_numpy(fixed_point.residual_multiplier(in_step.double() / out_step.double())),
        PACKED_LAYOUT,
        in_features,
        n,
        8,
    )
    real = ((a.double() @ w.double()) * unit).float()
    found = imitation.requantize(real, unit, out_step)
    found += imitation.residual_link(residual * in_step, in_step, out_step)
    assert torch.equal(_narrow(found, out_step, 8), expected)


@pytest.mark.parametrize("log2", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
def test_attention(log2: bool, bits: int) -> None:
    unit = torch.tensor(0.0021, dtype=torch.float64)
    products = torch.randint(-3000, 3000, (40, 37), dtype=torch.int32)
    weights = int_softmax2n(products, *fixed_point.softmax_scale(unit.item()), int(log2))
    v = torch.randint(-8, 8, (37, 16), dtype=torch.int8)
    step, out_step = torch.tensor(0.3), torch.tensor(0.11)
    scale = fixed_point.weighted_mean_scale(step.double().item() / out_step.double().item())
    expected = int_weighted_mean(weights, v, *scale, bits)

    attention = softmax_2n(imitation.logits((products * unit).float(), unit), log2)
    total = weights.sum(-1, keepdim=True)
    torch.testing.assert_close(attention * total, weights.float())
    found = imitation.weighted_mean(attention @ (v * step), total.float(), step, out_step)
    assert torch.equal(_narrow(found, out_step, bits), expected)


def test_gradients_are_those_of_the_real_value() -> None:
    real = torch.randn(5, requires_grad=True)
    out = imitation.straight_through(real, torch.zeros(5))
    out.backward(torch.arange(5.0))
    assert torch.equal(out, torch.zeros(5))
    assert real.grad is not None and torch.equal(real.grad, torch.arange(5.0))
