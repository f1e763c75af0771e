"""Groups of a GELU's channels: the same model, less noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.grouping import group
from pqv_onnx.qat.layers import QuantActivation
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.quantizers import AsymmetricQuantizer, GroupedQuantizer
from pqv_onnx.qat.routes import Routes
from pqv_onnx.spec import QuantSpec
from tests.qat.models import VARIANTS, decibels_of, float_model, images, prepared


def grouped(model: QuantModel, data: Tensor) -> QuantModel:
    """The model, its activations grouped."""
    activations = list(Routes(model.config.backbone.graph, model.handlers).activations())

    def prepare(segment: Segment, chunks: list[Tensor]) -> None:
        group(segment, activations, chunks)

    made: QuantModel = prepared(model, data, prepare)
    return made


def activations(model: QuantModel) -> list[QuantActivation]:
    return [module for module in model.modules() if isinstance(module, QuantActivation)]


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_groups_leave_the_output_alone(variant: str) -> None:
    teacher, data = float_model(variant).eval(), images(9)
    model = grouped(convert_to_qat(teacher, QuantSpec.preset("w8a8")).eval(), data)
    for activation in activations(model):
        assert activation.ratio.shape == (4,)
        assert bool((activation.ratio.diff() > 0).all())
        torch.testing.assert_close(
            activation.ratio.log().mean(), torch.zeros(()), atol=1e-6, rtol=0
        )
    with full_precision():
        torch.testing.assert_close(model(data), teacher(data), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_again_is_as_once() -> None:
    data = images(9)
    model = convert_to_qat(float_model("token"), QuantSpec.preset("w8a8"))
    grouped(model, data)
    once = {name: value.clone() for name, value in model.state_dict().items()}
    grouped(model, data)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, once[name], equal_nan=True)


@torch.no_grad()
def test_wide_channels_cost_the_others_less() -> None:
    teacher, data = float_model("token").eval(), images(32)
    for block in teacher.blocks:
        block.mlp.fc1.weight[::7] *= 8
        block.mlp.fc2.weight[:, ::7] /= 8
    one_step, several = (
        decibels_of(teacher, data, {"gelu": scheme}, Calibration())
        for scheme in ("asymmetric", "grouped")
    )
    assert several > one_step + 1


def test_channels_that_none_gave_anything() -> None:
    teacher = float_model("token")
    with torch.no_grad():
        for block in teacher.blocks:
            block.mlp.fc1.weight.zero_()
            block.mlp.fc1.bias.zero_()
            block.mlp.fc2.weight[:, 0] = 0
    model = convert_to_qat(teacher, QuantSpec.preset("w4a4"))
    calibrate(model, images(4))
    assert all(bool(module.ratio.isfinite().all()) for module in activations(model))
    assert bool(model.eval()(images(2)).isfinite().all())


@pytest.mark.parametrize("ratio", [[0.5, 0.8, 1.25, 2.0], [0.02, 0.9, 4.0, 14.0]])
@pytest.mark.parametrize("bits", [4, 8])
@torch.no_grad()
def test_each_group_is_rounded_as_by_itself(bits: int, ratio: list[float]) -> None:
    x = torch.nn.functional.gelu(torch.randn(50, 8, generator=torch.Generator().manual_seed(1)))
    x[:, :2].clamp_(max=0)  # little is above zero where the ratio is small
    quantizer = GroupedQuantizer(bits, 0.17, 8)
    quantizer.ratio.copy_(torch.tensor(ratio))
    scaled = x / quantizer.by_channel(quantizer.ratio)
    quantizer.calibrate(scaled)
    found = quantizer.quantize(scaled)
    for i, own_ratio in enumerate(quantizer.ratio.tolist()):
        own, part = AsymmetricQuantizer(bits, 0.17 / own_ratio), slice(2 * i, 2 * i + 2)
        own.set_step(quantizer.step)
        torch.testing.assert_close(found[:, part], own.quantize(scaled[:, part]), atol=0, rtol=0)
        assert bool((quantizer.zero_point[part] == own.zero_point).all())
    if bits == 8:  # nothing is cut off
        assert (found - scaled).abs().max() <= 0.5001 * quantizer.step
