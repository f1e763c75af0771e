"""Heads in the basis in which rounding costs least, and the model's output stays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pqv_onnx.qat import Calibration, QuantModel, convert_to_qat
from pqv_onnx.qat.balancing import _balanced, _moments, balance
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.routes import Heads, Routes
from pqv_onnx.spec import QuantSpec
from tests.qat.models import decibels_of, float_model, images, prepared
from tests.qat.test_families import STRUCTURES, quantized
from tests.trace.models import MODELS
from tests.trace.models import images as images_of

W4A4 = QuantSpec.preset("w4a4")


def attentions_of(model: QuantModel) -> list[Heads]:
    return list(Routes(model.config.backbone.graph, model.handlers).heads())


def balanced(model: QuantModel, data: Tensor) -> QuantModel:
    attentions = attentions_of(model)
    return prepared(model, data, lambda segment, chunks: balance(segment, attentions, chunks))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_float_model_stays(structure: str) -> None:
    model, data = quantized(structure), images_of(MODELS[structure].size, 4)
    with torch.no_grad(), full_precision():
        before = model(data)
        torch.testing.assert_close(balanced(model, data)(data), before, rtol=1e-3, atol=1e-3)


def moments(count: int, width: int) -> Tensor:
    x = torch.randn(count, width, 99, dtype=torch.float64) * torch.logspace(0, 2, width)[:, None]
    return x @ x.mT


def test_both_sides_become_equal() -> None:
    torch.manual_seed(0)
    own, others = moments(3, 8), moments(3, 8) / 7
    there, back = _balanced(own, others)
    torch.testing.assert_close(there @ back, torch.eye(8).double().expand(3, 8, 8))
    first, second = there @ own @ there.mT, back.mT @ others @ back
    ratio = first[0, 0, 0] / second[0, 0, 0]
    torch.testing.assert_close(first, second * ratio, rtol=0.05, atol=0.05 * float(first.max()))
    sizes = first.diagonal(0, 1, 2)
    assert sizes.sum().item() == pytest.approx(own.diagonal(0, 1, 2).sum().item(), rel=0.01)
    assert bool((sizes.amax(1) < 3 * sizes.mean(1)).all()), "spread over the channels"


def test_the_product_falls() -> None:
    torch.manual_seed(0)
    own, others = moments(2, 16), moments(2, 16).flip(1, 2)

    def trace(x: Tensor) -> float:
        return x.diagonal(0, 1, 2).sum().item()

    there, back = _balanced(own, others)
    after = trace(there @ own @ there.mT) * trace(back.mT @ others @ back)
    assert after < 0.1 * trace(own) * trace(others)


@pytest.mark.parametrize("missing", [0, 3])
def test_directions_that_are_missing(missing: int) -> None:
    """Of a head without values, or of fewer images than channels."""
    own, others = torch.zeros(2, 4, 4).double(), torch.eye(4).double().repeat(2, 1, 1)
    own[0, :missing, :missing] = torch.eye(missing).double()
    for result in (*_balanced(own, others), *_balanced(others, own)):
        assert bool(torch.isfinite(result).all())


@torch.no_grad()
def noise_of_values(model: QuantModel, data: Tensor) -> float:
    """What rounding the first attention's values makes of noise behind its projection, relative."""
    first = attentions_of(model)[0]
    for segment in model.segments():
        if segment.has(first.layers):
            (own,) = _moments(segment, [first.value], [data])
            weight = first.output[0].weight[:, first.output[1]].double()
            return (own.diagonal(0, 1, 2).sum() * weight.square().sum()).item()
        with full_precision():
            data = segment(data)
    raise AssertionError("no segment has the first attention")


def test_of_a_whole_model_noise_of_values_falls() -> None:
    model, data = convert_to_qat(float_model("token"), W4A4), images(24)
    before = noise_of_values(model, data)
    assert noise_of_values(balanced(model, data), data) < 0.8 * before


def test_noise_falls() -> None:
    """Fails where heads are rotated only: some directions are a hundred times as wide as others."""
    teacher, data = float_model("token"), images(16)
    wide = torch.logspace(-1, 1, 16).repeat(2)
    with torch.no_grad():
        for block in teacher.blocks:
            block.attn.qkv.weight[64:] *= wide[:, None]
            block.attn.qkv.bias[64:] *= wide
            block.attn.proj.weight /= wide
    noise = {
        on: decibels_of(teacher, data, {"qkv": "4"}, Calibration(balancing=on))
        for on in (False, True)
    }
    assert noise[True] > noise[False] + 2, noise
