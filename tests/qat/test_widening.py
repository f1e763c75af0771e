"""Steps of a GELU's outputs at 4 bits: wide enough for what the segment depends on."""

from __future__ import annotations

import torch

from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.quantizers import Quantizer
from pqv_onnx.qat.widening import narrow
from pqv_onnx.spec import QuantSpec
from tests.qat.models import float_model, images


def calibrated(precision: str, widening: bool) -> QuantModel:
    """One channel of a GELU is far above the others for few tokens, and read by all others."""
    teacher, data = float_model("token"), images(32)
    mlp = teacher.get_submodule("blocks.1.mlp")
    with torch.no_grad():
        mlp.fc1.weight[0] *= 12
        mlp.fc1.bias[0] -= 12
        mlp.fc2.weight[:, 0] *= 100  # far from any other choice, whatever a CPU rounds
    model = convert_to_qat(teacher, QuantSpec.preset(precision))
    calibrate(model, data, Calibration(widening=widening))
    return model.eval()


def steps(model: QuantModel) -> list[torch.Tensor]:
    return [module.step.detach() for module in model.modules() if isinstance(module, Quantizer)]


def test_what_much_depends_on_is_not_cut_off() -> None:
    (_, before), (_, after) = (narrow(calibrated("w4a4", on).modules()) for on in (False, True))
    assert after.step > 1.15 * before.step


def test_nothing_else_changes_in_front_of_it() -> None:
    before, after = (calibrated("w4a4", on) for on in (False, True))
    first = [next(narrow(model.modules())) for model in (before, after)]
    ratio = (first[1].step / first[0].step).item()
    assert min(abs(ratio - factor) for factor in (1, 1.2, 1.45, 1.75, 2.1, 2.5, 3)) < 1e-5


def test_eight_bits_have_the_whole_range_anyway() -> None:
    assert not list(narrow(calibrated("w4a8", True).modules()))
    before, after = (steps(calibrated("w8a8", on)) for on in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_is_trained_is_what_runs() -> None:
    model, data = calibrated("w4a4", True), images(8, seed=1)
    with torch.no_grad():
        assert torch.equal(model(data), convert_to_integer(model)(data))
